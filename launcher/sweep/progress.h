// What a sweep says on standard error while it runs: one line when a cell begins and one when it is done.
#pragma once

#include <cstddef>
#include <string>

#include "base/clock.h"

namespace ferry::launcher {

class SweepProgress {
 public:
  // `total` cells in all, `done` of which have a row.
  SweepProgress(std::size_t total, std::size_t done) : total_(total), done_(done) {}

  // "sweep: 3 of 24 done; next: 2 ranks, cfg paired, async, full, ...".
  void begin(const std::string& label);
  // "sweep: 4 of 24 done: LABEL: 1.234 s a step; 12:30 left", by the mean of the cells that this process has
  // measured.  `elsewhere`: cells that got their rows from other processes meanwhile.
  void end(const std::string& label, const std::string& outcome, std::size_t elsewhere);

  // As end(), of a cell that no ranks have measured.
  void refused(const std::string& label, const std::string& why);

  std::size_t done() const { return done_; }

 private:
  std::size_t total_;
  std::size_t done_;
  std::size_t measured_ = 0;
  double seconds_ = 0;  // that they took
  Clock::time_point began_;
};

}  // namespace ferry::launcher
