#include "worker/weights/stage_weights.h"

#include <utility>

#include "base/clock.h"
#include "parallel/agree.h"
#include "worker/weights/lora.h"

namespace ferry::worker {
namespace {

offload::StageSetup setup_of(Rank& rank, const StageSource& source) {
  offload::StageSetup setup;
  setup.device = rank.device.get();
  setup.account = &rank.account;
  setup.trace = rank.trace.get();
  setup.activation_bytes = source.activation_bytes;
  if (source.runs == Runs::Alone) return setup;
  setup.peers = parallel::world_peers(*rank.session);
  setup.weights = rank.groups.weights.get();
  setup.gather = rank.on_gpu() ? nullptr : &rank.session->comm();
  return setup;
}

}  // namespace

LoadedStage::LoadedStage(const StageSource& source, Rank& rank, Progress& progress, StageRecord& record,
                         StageLoad begun, const std::function<void()>& read)
    : rank_(&rank), runs_(source.runs), activation_bytes_(source.activation_bytes) {
  const Clock::time_point begin = Clock::now();
  rank.account.reset_peaks();
  reset_torch_peak(*rank.device);
  if (begun.meter == nullptr) begun = begin_load(source, rank);
  agree(*rank.session, [&] { finish_load(source, std::move(begun), progress); });
  record.load_s = seconds_since(begin);
  // On the CPU a strategy may choose by what the host has left, and take it.
  if (read && rank.on_gpu()) read();
  agree(*rank.session, [&] { apply_strategy(source, record); });
  if (read && !rank.on_gpu()) read();
}

LoadedStage::~LoadedStage() {
  weights_.reset();
  // Freeing a window is an operation of all ranks, in the order of their others.
  if (arena_ == nullptr || arena_->kind() == offload::MemoryKind::Window) return;
  if (rank_->on_gpu()) {
    rank_->janitor.keep(std::move(arena_));
  } else {
    rank_->janitor.take(std::move(arena_));
  }
}

void LoadedStage::finish_load(const StageSource& source, StageLoad begun, Progress& progress) {
  arena_ = std::move(begun.arena);
  if (arena_ == nullptr) return;
  if (arena_->kind() != offload::MemoryKind::Private) {
    memory_.set_shared(arena_->bytes() / static_cast<std::size_t>(rank_->session->node_size()));
  }
  progress.begin("load " + source.network->spec.name, 100);
  begun.meter->show(&progress);
  arena_->finish_load();
  begun.meter->show(nullptr);
  progress.end();
}

void LoadedStage::apply_strategy(const StageSource& source, StageRecord& record) {
  Clock::time_point begin = Clock::now();
  // Collective over the node, whoever computes.
  if (arena_ != nullptr && source.network->plan.pin) arena_->pin(*rank_->device, computes());
  record.pin_s = seconds_since(begin);
  record.pin_first_s = arena_ == nullptr ? 0 : arena_->pin_first_s();
  if (!computes()) return;
  begin = Clock::now();
  weights_ = offload::make_stage(*arena_, source.network->plan, setup_of(*rank_, source));
  if (adds_in_calls(source)) {
    weights_->set_loras(
        device_loras(*source.network->lora, source.network->spec, source.lora.strength, *rank_->device));
  }
  weights_->prepare();
  rank_->device->compute().synchronize();
  record.prepare_s = seconds_since(begin);
}

void LoadedStage::note_torch_peak() {
  torch_peak_ = rank_->on_gpu()
                    ? torch_peak(*rank_->device)
                    : TorchPeak{.held_bytes = torch_.peak_bytes(), .allocated_bytes = torch_.peak_bytes()};
}

void LoadedStage::finish(StageRecord& record) {
  if (weights_ != nullptr) {
    weights_->finish();
    record.offload = weights_->report();
    record.pin_all_s = arena_->pin_all_s();
  }
  record.weights_peak_bytes = rank_->account.peak();
  for (std::size_t i = 0; i < offload::kCategories; ++i) {
    const auto category = static_cast<offload::Category>(i);
    record.weights_peak_by_category[std::string(name_of(category))] = rank_->account.at_peak()[i];
  }
  if (!torch_peak_) note_torch_peak();
  record.torch_peak_bytes = torch_peak_->held_bytes;
  record.torch_allocated_peak_bytes = torch_peak_->allocated_bytes;
  record.activation_estimate_bytes = activation_bytes_;
  record.peak_host_bytes = memory_.peak_bytes();
  // The next stage's weights are not taken from LibTorch's allocator.
  release_torch_cache(*rank_->device);
}

}  // namespace ferry::worker
