#include "worker/stage_weights.h"

#include <algorithm>

#include "base/clock.h"
#include "worker/agree.h"
#include "worker/gpu.h"

namespace ferry::worker {
namespace {

offload::StageSetup setup_of(Rank& rank, const StageSource& source) {
  offload::StageSetup setup;
  setup.device = rank.device.get();
  setup.account = &rank.account;
  setup.trace = rank.trace.get();
  setup.activation_bytes = source.activation_bytes;
  if (source.runs == Runs::Alone) return setup;
  setup.peers = offload::world_peers(*rank.session);
  setup.weights = rank.groups.weights.get();
  setup.gather = rank.on_gpu() ? nullptr : &rank.session->comm();
  return setup;
}

// Shows a load in hundredths of this rank's share, and keeps the ranks that are faster waiting.
std::function<void(const offload::LoadProgress&)> shown(Progress& progress, parallel::Session& session) {
  return [&progress, &session, shown = 0](const offload::LoadProgress& load) mutable {
    const int now = load.bytes_total == 0 ? 100 : static_cast<int>(100 * load.bytes_done / load.bytes_total);
    if (shown < now) session.send_sign_of_life();
    for (; shown < now; ++shown) progress.step();
  };
}

}  // namespace

LoadedStage::LoadedStage(const StageSource& source, Rank& rank, Progress& progress, StageRecord& record)
    : rank_(&rank) {
  const Clock::time_point begin = Clock::now();
  rank.account.reset_peaks();
  reset_torch_peak(*rank.device);
  progress.begin("load " + source.network->spec.name, 100);
  arena_ = offload::load_arena(source.network->checkpoint, source.network->spec, *source.options,
                               *rank.session, shown(progress, *rank.session));
  progress.end();
  record.load_s = seconds_since(begin);
  agree(*rank.session, [&] { apply_strategy(source); });
}

void LoadedStage::apply_strategy(const StageSource& source) {
  if (source.runs == Runs::Alone && !rank_->is_first()) {
    // Page-locking is collective over the node, whoever computes.
    if (source.options->pin_cpu_memory) arena_->pin(*rank_->device);
    return;
  }
  weights_ = offload::make_stage(*arena_, *source.options, setup_of(*rank_, source));
  weights_->prepare();
}

void LoadedStage::finish(StageRecord& record) {
  if (weights_ != nullptr) {
    weights_->finish();
    record.offload = weights_->report();
  }
  record.weights_peak_bytes = rank_->account.peak();
  record.torch_peak_bytes = torch_peak_bytes(*rank_->device);
  record.peak_pss_bytes = memory_.peak_pss_bytes();
  // The next stage's weights are not taken from LibTorch's allocator.
  release_torch_cache(*rank_->device);
}

}  // namespace ferry::worker
