// What a rank last said of itself, in memory that the other ranks of its node read.
//
// The owner only stores, so its place can be read while its threads are stuck in CUDA, stopped, or dead.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace ferry::parallel {

// Words of reports.  Exchange and Gather are parts of a step of Denoise.
enum class Stage : std::uint8_t { Start, Load, Text, Denoise, Exchange, Gather, Decode, Encode, Write, End };

// "denoise".
const char* name_of(Stage stage);

struct Where {
  Stage stage = Stage::Start;
  int step = 0;    // from 1; 0: none
  int block = -1;  // from 0; -1: none
  friend bool operator==(const Where&, const Where&) = default;
};

// "denoise, step 3, block 12".
std::string text_of(const Where& where);

// A place in shared memory; all zeros until its rank comes.  Times are nanoseconds of Clock.
struct alignas(128) Place {
  std::atomic<pid_t> process;
  std::atomic<std::uint64_t> started;  // start time of the process, as in /proc/PID/stat
  std::atomic<std::uint64_t> where;
  std::atomic<std::int64_t> tick;          // last progress
  std::atomic<std::int64_t> beat;          // last look of its watchdog
  std::atomic<std::uint32_t> waits;        // waits for other ranks, or for its device, that are open
  std::atomic<bool> refused;               // it has thrown a UserError, which the others may have thrown too
  std::atomic<bool> left;                  // it ends on purpose
  std::atomic<bool> asked;                 // it was asked to stop early
  std::atomic<bool> gives_up;              // it was asked where nothing had been done, and ends
  std::atomic<int> group;                  // works apart with the ranks of the same number; 0: with all
  std::atomic<std::uint64_t> device_free;  // bytes; 0: unknown
  std::atomic<std::uint64_t> host_free;
};

// A copy of a place.
struct Seen {
  int rank = 0;  // in the world
  pid_t process = 0;
  std::uint64_t started = 0;
  Where where;
  Clock::time_point tick;
  Clock::time_point beat;
  bool waits = false;
  bool left = false;
  bool asked = false;
  bool gives_up = false;
  int group = 0;
  bool gone = false;  // its process has ended, though it has not left
  std::size_t device_free = 0;
  std::size_t host_free = 0;
  bool remote = false;  // of another node: known from messages
};

// What a rank tells ranks of other nodes, as a message.
struct Sign {
  std::uint64_t where = 0;
  std::int64_t tick_age = 0;  // nanoseconds: nodes have clocks of their own
  std::uint64_t waits = 0;
  std::uint64_t device_free = 0;
  std::uint64_t host_free = 0;
  std::uint32_t asked = 0;
  std::uint32_t gives_up = 0;
  std::int32_t group = 0;
};

std::uint64_t packed(const Where& where);
Where unpacked(std::uint64_t bits);

}  // namespace ferry::parallel
