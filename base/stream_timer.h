// Durations of spans of a stream, from device events: in total, per pass and per place within a pass.
//
// A span is a wait or a copy; a pass is one forward of a network, its places are the blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/device.h"

namespace ferry {

struct StreamTimes {
  double ms = 0;
  std::vector<double> ms_by_place;  // mean per pass
  std::vector<double> ms_by_pass;   // in order
};

// A span's events are created once and reused `samples` spans later.  A span not over by then is dropped (the
// host never waits), and times are scaled up from the spans that were read.
class StreamTimer {
 public:
  // Throws std::invalid_argument unless both are at least 1.
  StreamTimer(Device& device, int places, int samples);

  // Call before the first span.
  void begin_pass();
  // Call around the timed work, in the order of `stream`; spans do not nest.
  void begins(int place, Stream& stream);
  void ends(Stream& stream);
  // Times of all spans over by now.  Not during a forward: it reads every event.
  StreamTimes times();

 private:
  struct Sample {
    std::unique_ptr<Event> begin;
    std::unique_ptr<Event> end;
    std::size_t pass = 0;
    std::size_t place = 0;
    bool unread = false;
  };
  struct Sum {
    double ms = 0;
    std::int64_t spans = 0;
    std::int64_t counted = 0;
    double scaled() const;
  };
  void read(Sample& sample);
  std::vector<Sample> samples_;
  std::size_t next_ = 0;
  std::vector<Sum> by_place_;
  std::vector<Sum> by_pass_;
};

}  // namespace ferry
