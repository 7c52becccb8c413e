#include "offload/async/share_trials.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace ferry::offload {

namespace {

constexpr double kBetter = 0.99;      // smaller relative differences of passes do not count
constexpr double kDoubt = 0.85;       // copies may take as little as this fraction of the prediction
constexpr double kRoom = 0.8;         // of a pass: shorter copies do not slow computation
constexpr double kHidden = 0.005;     // of a pass: shorter waits do not count
constexpr double kExplained = 0.75;   // of a pass: predictions this much shorter need no second measurement
constexpr double kRoughly = 0.1;      // differences up to which two passes are measured,
constexpr double kNearly = 0.02;      // and three
constexpr double kPassesOfTrial = 2;  // one between and one measured
constexpr double kGrain = 20;         // shares are multiples of 1/20: smaller steps are not worth a trial

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

// Rounds the least share to whole grains: up if that hides, else to the faster of both.
double grained(const ShareFigures& figures, double least, double compute_ms) {
  const double more = std::ceil(least * kGrain) / kGrain;
  const double less = std::floor(least * kGrain) / kGrain;
  const bool hides = block_ms(figures, more) <= compute_ms;
  return hides || block_ms(figures, more) <= block_ms(figures, less) ? more : less;
}

}  // namespace

std::vector<ShareCandidate> share_candidates(const ShareFigures& figures, int blocks, double compute_ms,
                                             double now) {
  const double each_ms = compute_ms / blocks;
  const double least = grained(figures, least_share(figures, each_ms), each_ms);
  std::vector<ShareCandidate> candidates;
  for (const double share : {least, 1.0, 0.0, now}) {
    const bool known = std::any_of(candidates.begin(), candidates.end(),
                                   [share](const ShareCandidate& each) { return each.share == share; });
    if (!known) candidates.push_back({.share = share, .copies_ms = blocks * block_ms(figures, share)});
  }
  return candidates;
}

// Median; the shorter of two, since other load on a node only makes passes longer.
double ShareTrials::Trial::time() const {
  std::vector<double> sorted = ms;
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() - 1) / 2];
}

ShareTrials::ShareTrials(const std::vector<ShareCandidate>& candidates, double now) {
  for (const ShareCandidate& each : candidates) trials_.push_back({.candidate = each});
  const auto in_force = std::find_if(trials_.begin(), trials_.end(),
                                     [now](const Trial& trial) { return trial.candidate.share == now; });
  if (in_force == trials_.end()) throw std::invalid_argument(fmt::format("share {} is no candidate", now));
  now_ = static_cast<std::size_t>(in_force - trials_.begin());
}

// The shortest measured time, excluding one trial.
double ShareTrials::best_ms(std::size_t except) const {
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < trials_.size(); ++i) {
    if (i != except && !trials_[i].ms.empty()) best = std::min(best, trials_[i].time());
  }
  return best;
}

// Cost of the trials beyond passes of the best share.  Longer passes of the best share itself do not count.
double ShareTrials::spent_ms(double best_ms) const {
  double spent = 0;
  for (const double ms : between_ms_) spent += std::max(0.0, ms - best_ms);
  for (const Trial& trial : trials_) {
    const auto passes = static_cast<double>(trial.ms.size());
    if (passes > 0) spent += passes * std::max(0.0, trial.time() - best_ms);
  }
  return spent;
}

double ShareTrials::predicted_ms(const Trial& trial) const {
  return std::max(compute_ms_, trial.candidate.copies_ms);
}

bool ShareTrials::ruled_out(const Trial& trial, double best_ms) const {
  if (std::max(floor_ms_, kDoubt * trial.candidate.copies_ms) >= kBetter * best_ms) return true;
  const double cost = kPassesOfTrial * std::max(0.0, predicted_ms(trial) - best_ms);
  return spent_ms(best_ms) + cost > best_ms;
}

// The most promising candidate worth a trial.
std::optional<std::size_t> ShareTrials::next() const {
  const double best = best_ms(kNone);
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < trials_.size(); ++i) {
    if (!trials_[i].ms.empty() || ruled_out(trials_[i], best)) continue;
    if (!found || predicted_ms(trials_[i]) < predicted_ms(trials_[*found])) found = i;
  }
  return found;
}

// True if more passes are needed to distinguish it from its rival.
bool ShareTrials::wants_more() const {
  const Trial& trial = trials_[now_];
  const double ms = trial.time();
  const double rival = best_ms(now_);
  if (std::isinf(rival)) {
    const std::optional<std::size_t> other = next();
    return trial.ms.size() == 1 && other && predicted_ms(trials_[*other]) > kExplained * ms;
  }
  const double apart = std::abs(ms / rival - 1);
  const double best = std::min(ms, rival);
  if (spent_ms(best) + (ms - best) > best) return false;
  return apart < (trial.ms.size() == 1 ? kRoughly : trial.ms.size() == 2 ? kNearly : 0);
}

void ShareTrials::measured(const PassTime& pass) {
  if (settled_) return;
  others_ = 0;
  Trial& trial = trials_[now_];
  trial.ms.push_back(pass.ms);
  const double compute_ms = std::max(0.0, pass.ms - pass.exposed_ms);
  compute_ms_ = compute_ms_ == 0 ? compute_ms : std::min(compute_ms_, compute_ms);
  if (trial.candidate.share == 0) {
    const bool at_ease = pass.copies_ms <= kRoom * trial.time() && pass.exposed_ms <= kHidden * pass.ms;
    floor_ms_ = at_ease ? compute_ms_ : 0;
  }
  if (wants_more()) return;
  if (const auto other = next()) {
    now_ = *other;
  } else {
    settle();
  }
}

void ShareTrials::between(double ms) {
  if (!settled_) between_ms_.push_back(ms);
}

void ShareTrials::other() {
  if (!settled_ && ++others_ >= kMostOthers) settle();
}

void ShareTrials::settle() {
  settled_ = true;
  const double best = best_ms(kNone);
  if (std::isfinite(best)) {
    now_ = 0;
    while (trials_[now_].ms.empty() || kBetter * trials_[now_].time() > best) ++now_;
  }
  for (const Trial& trial : trials_) {
    why_ += fmt::format("{}{:.3g} {}", why_.empty() ? "" : ", ", trial.candidate.share,
                        trial.ms.empty() ? "not tried (" + why_not(trial) + ")"
                                         : fmt::format("took {:.1f} ms", trial.time()));
  }
  std::size_t passes = between_ms_.size();
  for (const Trial& trial : trials_) passes += trial.ms.size();
  if (std::isfinite(best) && trials_[now_].time() > best) why_ += ", which is no difference";
  why_ = fmt::format("share {:.3g} after {} pass{}: {}", share(), passes, passes == 1 ? "" : "es", why_);
}

std::string ShareTrials::why_not(const Trial& trial) const {
  const double least = kBetter * best_ms(kNone);
  if (std::isinf(least)) return "no passes to compare";
  if (kDoubt * trial.candidate.copies_ms >= least) {
    return fmt::format("its copies take {:.1f} ms", trial.candidate.copies_ms);
  }
  if (floor_ms_ >= least) return "computing takes as long";
  return ruled_out(trial, best_ms(kNone)) ? "a trial costs too much" : "passes were of other kinds";
}

}  // namespace ferry::offload
