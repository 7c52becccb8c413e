#include "offload/async/auto_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/log.h"

namespace ferry::offload {

AutoShare::AutoShare(AutoSharePlan plan, const NodeArena& arena, const parallel::Peers& peers, Device& device)
    : plan_(std::move(plan)),
      share_(plan_.first),
      arena_(arena),
      peers_(peers),
      begin_(device.make_event(EventKind::Timed)),
      end_(device.make_event(EventKind::Timed)) {}

void AutoShare::begins(const model::PassKey& key, Stream& compute) {
  key_ = key;
  compute.record(*begin_);
}

void AutoShare::ends(PassFit fit, Stream& compute) {
  fit_ = fit;
  compute.record(*end_);
}

bool AutoShare::pinned_everywhere() const {
  bool everywhere = true;
  for (const std::string& each : all_gather_text(peers_, arena_.pinning_over() ? "over" : "")) {
    everywhere = everywhere && !each.empty();
  }
  return everywhere;
}

PassTime AutoShare::mine(Meter& meter) {
  if (plan_.took) return plan_.took(share_);
  end_->synchronize();
  const double copied_ms = meter.copy_ms();
  return {.ms = end_->ms_since(*begin_),
          .exposed_ms = meter.last_exposed_ms(),
          .copies_ms = copied_ms - std::exchange(copied_ms_, copied_ms)};
}

PassTime AutoShare::worst(Meter& meter) {
  const PassTime mine = this->mine(meter);
  const std::string words = fmt::format("{:.6f} {:.6f} {:.6f}", mine.ms, mine.exposed_ms, mine.copies_ms);
  PassTime worst;
  for (const std::string& each : all_gather_text(peers_, words)) {
    PassTime one;
    std::istringstream(each) >> one.ms >> one.exposed_ms >> one.copies_ms;
    worst = {.ms = std::max(worst.ms, one.ms),
             .exposed_ms = std::max(worst.exposed_ms, one.exposed_ms),
             .copies_ms = std::max(worst.copies_ms, one.copies_ms)};
  }
  return worst;
}

bool AutoShare::seen_before() {
  if (std::find(seen_.begin(), seen_.end(), key_) != seen_.end()) return true;
  seen_.push_back(key_);
  return false;
}

void AutoShare::settle(std::string why) {
  settled_ = true;
  why_ = std::move(why);
  if (peers_.rank == 0) spdlog::info("{}: {}", arena_.spec().name, why_);
}

void AutoShare::compare(PassFit fit, const PassTime& pass) {
  if (!trials_) {
    compared_ = key_;
    const double compute_ms = std::max(0.0, pass.ms - pass.exposed_ms);
    trials_.emplace(share_candidates(plan_.figures, plan_.blocks, compute_ms, share_), share_);
  }
  if (fit == PassFit::Other || key_ != compared_) {
    trials_->other();
  } else if (fit == PassFit::Between) {
    trials_->between(pass.ms);
  } else {
    trials_->measured(pass);
  }
  share_ = trials_->share();
  if (trials_->settled()) settle(trials_->why());
}

double AutoShare::next(Meter& meter) {
  const PassFit fit = std::exchange(fit_, PassFit::None);
  if (settled_ || fit == PassFit::None) return share_;
  const bool seen = seen_before();
  if (!pinned_) {
    pinned_ = pinned_everywhere();
    return share_;
  }
  const PassTime pass = worst(meter);
  const bool counts = std::exchange(waited_, true) && seen && fit != PassFit::Other;
  if (trials_ || counts) {
    compare(fit, pass);
  } else if (++others_ >= kMostOthers) {
    settle(fmt::format("share {:.3g}: no two passes can be compared", share_));
  }
  return share_;
}

}  // namespace ferry::offload
