#include "launcher/sweep/conduct.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "launcher/process/job.h"
#include "launcher/process/spawn.h"
#include "launcher/sweep/progress.h"
#include "launcher/sweep/row.h"
#include "launcher/sweep/talk.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;

bool share_ranks(const PlannedCell& a, const PlannedCell& b) {
  return a.cell.ranks == b.cell.ranks && a.fields.at("model") == b.fields.at("model");
}

std::string outcome_text(const Json& outcome) {
  if (outcome.contains("error")) return "error: " + outcome.at("error").get<std::string>();
  return fmt::format("{:.4f} s a step", outcome.at("step_s").get<double>());
}

// What the ranks need before they read their first cell; by default they say only what is wrong.
std::vector<std::string> arguments_of(const SweepCell& cell) {
  std::string level = "warning";
  for (const auto& [key, value] : cell.settings) {
    if (key == "run.log_level") level = value;
  }
  return {"bench",           "sweep", "--run.deadline_s", fmt::format("{}", cell.options.run.deadline_s),
          "--run.log_level", level};
}

std::string reason_of(const JobEnd& end, const std::string& last_words) {
  if (!last_words.empty()) return last_words;
  return !end.said.empty() ? end.said : fmt::format("the ranks ended with exit code {}", end.code);
}

void say_left(int ranks, const std::string& why) {
  std::fputs(fmt::format("sweep: {} rank{} did not start: {}; cells with so many are left, without rows\n",
                         ranks, ranks == 1 ? "" : "s", why)
                 .c_str(),
             stderr);
}

void say_elsewhere(std::ptrdiff_t cells) {
  std::fputs(
      fmt::format(
          "sweep: {} cell{} being measured by other processes; run again, what they leave is measured\n",
          cells, cells == 1 ? " is" : "s are")
          .c_str(),
      stderr);
}

class Sweep {
 public:
  Sweep(const std::vector<PlannedCell>& cells, SweepFile& file, const SweepCounts& counts)
      : cells_(cells), file_(file), counts_(counts), progress_(cells.size(), count_done()) {}

  int run() {
    refuse_impossible();
    while (current_ || claim_next(nullptr)) {
      const std::optional<int> ended = start_ranks();
      if (ended) return *ended;
    }
    say_rest();
    return without_ranks_.empty() ? 0 : 1;
  }

 private:
  struct Current {
    std::size_t cell = 0;
    SweepFile::Claim claim;
  };

  const PlannedCell& now() const { return cells_[current_->cell]; }

  std::size_t count_done() {
    file_.take_new_rows();
    return static_cast<std::size_t>(
        std::ranges::count_if(cells_, [&](const PlannedCell& each) { return file_.knows(each.name); }));
  }

  // Of all cells, or those that the ranks of `like` can measure.
  bool claim_next(const PlannedCell* like) {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (like != nullptr && !share_ranks(cells_[i], *like)) continue;
      if (without_ranks_.contains(cells_[i].cell.ranks)) continue;
      std::optional<SweepFile::Claim> claim = file_.claim(cells_[i].name);
      if (!claim) continue;
      current_.emplace(i, *std::move(claim));
      progress_.begin(label_of(cells_[i].fields));
      return true;
    }
    return false;
  }

  void refuse_impossible() {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (cells_[i].impossible.empty()) continue;
      std::optional<SweepFile::Claim> claim = file_.claim(cells_[i].name);
      if (!claim) continue;
      file_.append(row_of(cells_[i].name, cells_[i].fields, {{"error", cells_[i].impossible}}));
      progress_.refused(label_of(cells_[i].fields), cells_[i].impossible);
    }
  }

  // Writes the row of the current cell and gives it up.
  void write(Json outcome) {
    outcome.update(now().predicted);
    file_.append(row_of(now().name, now().fields, outcome));
    const std::string label = label_of(now().fields);
    current_.reset();
    const std::size_t done = count_done();
    progress_.end(label, outcome_text(outcome), done - std::min(done, progress_.done() + 1));
  }

  // Called on Talk's thread.
  std::string answered(const std::string& line, const PlannedCell& first) {
    Json outcome = Json::parse(line, nullptr, false);
    if (outcome.is_object() && outcome.contains(kRanksAreReady)) {
      ready_ = true;
      return line_for_ranks(now().cell, counts_);
    }
    if (!outcome.is_object() || outcome.contains("error") == outcome.contains("step_s"))
      throw Error("the ranks of a sweep answer with no row: " + line);
    write(std::move(outcome));
    answers_ += 1;
    return claim_next(&first) ? line_for_ranks(now().cell, counts_) : "";
  }

  // Ranks for the current cell and those after it; the exit code if a signal ended them.
  std::optional<int> start_ranks() {
    const PlannedCell& first = now();
    answers_ = 0;
    ready_ = false;
    const PreparedLaunch launch(arguments_of(first.cell), first.cell.ranks);
    Talk talk(line_for_ranks(first.cell, counts_),
              [&](const std::string& line) { return answered(line, first); });
    const JobEnd end = run_job(launch.words(), false, talk.streams());
    if (end.by_signal)
      return end.code == 128 + SIGTERM || end.code == 128 + SIGUSR1 ? worker::kRequeueExit : end.code;
    talk.finish();
    if (current_) take_failure(end, talk.reason());
    return {};
  }

  // The current cell's ranks have gone.
  void take_failure(const JobEnd& end, const std::string& reason) {
    const std::string said = reason_of(end, reason);
    if (!ready_) return leave_cells(said);
    const bool had_fresh_ranks = answers_ == 0;
    if (!had_fresh_ranks && retried_.insert(current_->cell).second) {
      std::fputs("sweep: the ranks have failed; the cell gets others\n", stderr);
      return;
    }
    write({{"error", said}, {"exit_code", end.code}});
  }

  // Those with as many ranks as the current one.
  void leave_cells(const std::string& why) {
    const int ranks = now().cell.ranks;
    without_ranks_.insert(ranks);
    current_.reset();
    say_left(ranks, why);
  }

  void say_rest() {
    file_.take_new_rows();
    const auto left = std::ranges::count_if(cells_, [&](const PlannedCell& each) {
      return !file_.knows(each.name) && !without_ranks_.contains(each.cell.ranks);
    });
    if (left > 0) say_elsewhere(left);
  }

  const std::vector<PlannedCell>& cells_;
  SweepFile& file_;
  SweepCounts counts_;
  SweepProgress progress_;
  std::optional<Current> current_;
  bool ready_ = false;           // the ranks that run
  std::size_t answers_ = 0;      // theirs
  std::set<int> without_ranks_;  // numbers of ranks that did not start
  std::set<std::size_t> retried_;
};

}  // namespace

std::vector<PlannedCell> plan_sweep(std::vector<SweepCell> cells, const Predict& predict) {
  std::vector<PlannedCell> planned;
  std::set<std::string> names;
  for (SweepCell& cell : cells) {
    PlannedCell plan;
    bool guided = cell.options.job.guidance.value_or(0) != 1;
    try {
      const worker::StepFacts facts = worker::check_steps(cell.options, cell.ranks);
      guided = facts.job.guided();
      if (predict) plan.predicted = predict(cell, facts);
    } catch (const UserError& error) {
      plan.impossible = error.what();
    }
    plan.name = name_of(cell, guided);
    if (!names.insert(plan.name).second) continue;
    plan.fields = fields_of(cell, guided);
    plan.cell = std::move(cell);
    planned.push_back(std::move(plan));
  }
  return planned;
}

int run_sweep(const std::vector<PlannedCell>& cells, SweepFile& file, const SweepCounts& counts) {
  return Sweep(cells, file, counts).run();
}

}  // namespace ferry::launcher
