#include "worker/record/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ferry::worker {
namespace {

constexpr int kBarWidth = 20;
constexpr int kNameWidth = 17;  // fits "load text_encoder"
constexpr std::chrono::milliseconds kSparse{10'000};
constexpr std::chrono::milliseconds kDense{100};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double seconds_per_step(const ProgressState& state, double first_step_seconds) {
  if (state.done < 1) return 0;
  if (state.done == 1) return state.step_seconds;
  return (state.step_seconds - first_step_seconds) / static_cast<double>(state.done - 1);
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(seconds, 0.0)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_text(const ProgressState& state, double first_step_seconds) {
  if (state.total == 0)
    return fmt::format("{:<{}} {}", state.stage, kNameWidth, duration_text(state.seconds));
  const auto filled = static_cast<std::size_t>(kBarWidth * state.done / state.total);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '-');
  std::string text =
      fmt::format("{:<{}} [{}] {:>3}/{}", state.stage, kNameWidth, bar, state.done, state.total);
  if (state.done > 0) {
    const double rate = seconds_per_step(state, first_step_seconds);
    const double left =
        rate * static_cast<double>(state.total - state.done) - (state.seconds - state.step_seconds);
    text += fmt::format("  {:.2f} s/step  {} left", rate, duration_text(left));
  }
  return text;
}

std::string place_text(const BatchPlace& place, double seconds) {
  const std::string text = fmt::format(", video {}/{}", place.number, place.count);
  if (place.seconds_left <= 0) return text;
  return fmt::format("{}, {} left for all", text, duration_text(place.seconds_left - seconds));
}

Progress Progress::on_stderr() {
  const auto write = [](const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return {write, isatty(fileno(stderr)) == 1};
}

void Progress::begin(const std::string& stage, std::int64_t total) {
  state_ = {.stage = stage, .done = 0, .total = total, .seconds = 0, .step_seconds = 0};
  began_ = Clock::now();
  shown_ = began_;
  if (terminal_) show(progress_text(state_, 0));
}

void Progress::step() {
  if (heartbeat_) heartbeat_();
  ++state_.done;
  state_.seconds = state_.step_seconds = seconds_since(began_);
  if (state_.done == 1) first_step_seconds_ = state_.step_seconds;
  if (Clock::now() - shown_ >= (terminal_ ? kDense : kSparse)) show_steps();
}

void Progress::set_place(const BatchPlace& place) {
  place_ = place;
  placed_ = Clock::now();
}

void Progress::show_steps() {
  show(progress_text(state_, first_step_seconds_) +
       (place_ ? place_text(*place_, seconds_since(placed_)) : ""));
}

void Progress::end() {
  state_.seconds = seconds_since(began_);
  show(fmt::format("{:<{}} {:.2f} s", state_.stage, kNameWidth, state_.seconds));
  if (terminal_ && write_) write_("\n");
  width_ = 0;
}

void Progress::give_up() {
  if (terminal_ && write_ && width_ > 0) write_("\n");
  width_ = 0;
}

void Progress::show(const std::string& text) {
  if (!write_) return;
  shown_ = Clock::now();
  const std::size_t blanks = width_ > text.size() ? width_ - text.size() : 0;
  width_ = text.size();
  write_(terminal_ ? "\r" + text + std::string(blanks, ' ') : text + "\n");
}

}  // namespace ferry::worker
