// Progress of a run, on rank 0: stages, their steps and the time left.
//
// A terminal gets one line that is rewritten; a file or pipe gets a line at the end of each stage and at most
// one per ten seconds before that.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ferry::worker {

struct ProgressState {
  std::string stage;        // "denoise"
  std::int64_t done = 0;    // steps
  std::int64_t total = 0;   // 0: not counted
  double seconds = 0;       // since the stage began
  double step_seconds = 0;  // since the stage began, at the end of the latest step
};

// A video's place among those of a batch.
struct BatchPlace {
  int number = 1;  // from 1
  int count = 1;
  double seconds_left = 0;  // for it and those after it, when it begins; 0: not known yet
};

// "0:07", "12:34", "1:02:03".
std::string duration_text(double seconds);

// "denoise           [#####---------------]  12/50  1.23 s/step  0:47 left".  The first step is excluded from
// the rate once there are others, as it includes warm-up.
std::string progress_text(const ProgressState& state, double first_step_seconds);

// ", video 3/20, 12:10 left for all", `seconds` after it began.
std::string place_text(const BatchPlace& place, double seconds);

class Progress {
 public:
  using Write = std::function<void(const std::string&)>;

  // Silent: for the other ranks.
  Progress() = default;
  // `write` receives text as it should appear, "\r" and "\n" included.
  Progress(Write write, bool terminal) : write_(std::move(write)), terminal_(terminal) {}
  // Writes to stderr in the form that suits a terminal or a file.
  static Progress on_stderr();

  // Counted steps also show the place and the time left: "..., video 3/20, 12:10 left for all".
  void set_place(const BatchPlace& place);
  // Called at every step, on the reporting thread: other ranks may wait for this one.
  void set_heartbeat(std::function<void()> heartbeat) { heartbeat_ = std::move(heartbeat); }

  void begin(const std::string& stage, std::int64_t total);
  void step();
  // Ends the stage and writes its duration.
  void end();
  // Ends a failed stage: later output starts on a new line.
  void give_up();

 private:
  void show(const std::string& text);
  void show_steps();
  using Clock = std::chrono::steady_clock;

  Write write_;
  std::function<void()> heartbeat_;
  bool terminal_ = false;
  ProgressState state_;
  double first_step_seconds_ = 0;
  Clock::time_point began_;
  Clock::time_point shown_;
  std::optional<BatchPlace> place_;
  Clock::time_point placed_;  // when place_ was set
  std::size_t width_ = 0;     // width of the line on the terminal
};

}  // namespace ferry::worker
