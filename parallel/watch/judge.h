// Finds the rank that keeps the others waiting.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "parallel/watch/place.h"

namespace ferry::parallel {

enum class Trouble : std::uint8_t {
  Gone,       // its process has ended, and it had not left
  Stopped,    // its watchdog does not run either: SIGSTOP, or a node that hangs
  Stuck,      // no tick within the deadline, and it does not wait for another rank
  Standstill  // all wait, and none has ticked within the deadline: the least advanced one
};

struct Verdict {
  Trouble trouble = Trouble::Gone;
  std::size_t index = 0;  // of the ranks given
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// True in the stages in which a rank must tick, from Load to Write.
bool must_tick(Stage stage);

// What is wrong at `now`, if anything.  `resumed` is when the judge itself last went on after it had been
// suspended: the time before does not count against anybody.
std::optional<Verdict> judge(std::span<const Seen> ranks, Clock::time_point now, Clock::time_point resumed,
                             double deadline_s);

// One line on that rank: who, where, how long, and its free memory.
std::string report(const Seen& rank, Trouble trouble, const std::string& host, Clock::time_point now);

}  // namespace ferry::parallel
