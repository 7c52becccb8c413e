#include "launcher/sweep/progress.h"

#include <fmt/format.h>

#include <cstdio>

#include "worker/record/progress.h"

namespace ferry::launcher {
namespace {

void say_progress(const std::string& text) { std::fputs(("sweep: " + text + "\n").c_str(), stderr); }

}  // namespace

void SweepProgress::begin(const std::string& label) {
  began_ = Clock::now();
  say_progress(fmt::format("{} of {} cells done; next: {}", done_, total_, label));
}

void SweepProgress::end(const std::string& label, const std::string& outcome, std::size_t elsewhere) {
  seconds_ += seconds_since(began_);
  ++measured_;
  done_ += 1 + elsewhere;
  const std::size_t left = total_ - done_;
  const double each = seconds_ / static_cast<double>(measured_);
  const std::string time =
      left == 0 ? "" : fmt::format("; {} left", worker::duration_text(each * static_cast<double>(left)));
  say_progress(fmt::format("{} of {} cells done: {}: {}{}", done_, total_, label, outcome, time));
}

void SweepProgress::refused(const std::string& label, const std::string& why) {
  ++done_;
  say_progress(fmt::format("{} of {} cells done: {}: error: {}", done_, total_, label, why));
}

}  // namespace ferry::launcher
