#include "worker/weights/stage_weights.h"

#include <utility>

#include "base/clock.h"
#include "parallel/agree.h"
#include "worker/weights/lora.h"

namespace ferry::worker {
namespace {

offload::StageSetup setup_of(Rank& rank, const StageSource& source) {
  offload::StageSetup setup =
      source.runs == Runs::FirstRank ? rank.single_rank_stage_setup() : rank.stage_setup();
  setup.activation_bytes = source.activation_bytes;
  setup.forecast = source.forecast;
  return setup;
}

// True if the way weights are ferried was decided for one job's shapes.
bool decided_by_shapes(const offload::StagePlan& plan) {
  const bool open_share = plan.kind == offload::StrategyKind::Async && !plan.share;
  return open_share || plan.kind == offload::StrategyKind::Auto;
}

}  // namespace

BorrowedStage::BorrowedStage(LoadedModel& model, const StageSource& source, Progress& progress,
                             StageRecord& record, const std::function<void()>& read)
    : model_(model),
      rank_(model.rank_),
      source_(source),
      stage_(model.stages_[source.network->role]),
      explains_(rank_, source_, stage_, &torch_) {
  // While the exception propagates: in a handler the memory of a group would wait for the other ranks, which
  // need not have failed.
  struct Undo {
    BorrowedStage* borrowed;
    ~Undo() {
      if (borrowed == nullptr) return;
      borrowed->stage_.in_use = false;
      borrowed->model_.give_back(borrowed->source_.network->role);
    }
  };
  stage_.in_use = true;
  Undo undo{this};
  speak_first(rank_, [&] { take(progress, record, read); });
  undo.borrowed = nullptr;
}

void BorrowedStage::take(Progress& progress, StageRecord& record, const std::function<void()>& read) {
  const Clock::time_point begin = Clock::now();
  rank_.begin(parallel::Stage::Load);
  model_.make_device_room(source_);
  rank_.account.reset_peaks();
  reset_torch_peak(*rank_.device);
  model_.begin(source_);
  note_shared_memory();
  read_now_ = !stage_.filled;
  model_.fill(source_, progress);
  record.load_s = seconds_since(begin);
  // Before others start to fill memory that is already counted.
  stays_on_host_ = model_.stays_on_host(source_.network->role);
  // On the CPU a strategy may choose by what the host has left, and take it.
  if (read && rank_.on_gpu()) read();
  agree(*rank_.session, [&] { apply_strategy(record); });
  // Now `auto` is decided.
  stays_on_device_ = stays_on_host_ && model_.stays_on_device(source_);
  if (read && !rank_.on_gpu()) read();
}

void BorrowedStage::note_shared_memory() {
  const offload::NodeArena* arena = stage_.arena();
  if (arena == nullptr || arena->kind() == offload::MemoryKind::Private) return;
  memory_.set_shared(arena->bytes() / static_cast<std::size_t>(rank_.session->whole_node_size()));
}

BorrowedStage::~BorrowedStage() {
  stage_.in_use = false;
  stage_.on_device = finished_ && stays_on_device_;
  if (!finished_) stage_.weights.reset();
  if (!stays_on_host_) model_.give_back(source_.network->role);
}

void BorrowedStage::apply_strategy(StageRecord& record) {
  offload::NodeArena* arena = stage_.arena();
  Clock::time_point begin = Clock::now();
  // Collective over the node, also for ranks that do not compute.
  if (arena != nullptr && source_.network->plan.pin) arena->pin(*rank_.device, computes());
  record.pin_s = seconds_since(begin);
  record.pin_first_s = arena != nullptr && read_now_ ? arena->pin_first_s() : 0;
  if (!computes()) return;
  begin = Clock::now();
  make_strategy();
  if (adds_in_calls(source_)) {
    stage_.weights->set_loras(device_loras(*source_.loras, source_.network->spec, *rank_.device));
  }
  stage_.weights->prepare();
  rank_.device->compute().synchronize();
  record.prepare_s = seconds_since(begin);
}

// Reuses the existing one, unless it was decided for other shapes.
void BorrowedStage::make_strategy() {
  const bool other_shapes = stage_.made_for_bytes != source_.activation_bytes;
  if (stage_.weights != nullptr && other_shapes && decided_by_shapes(source_.network->plan)) {
    stage_.weights.reset();
  }
  if (stage_.weights != nullptr) {
    before_ = stage_.weights->report();
    return;
  }
  stage_.weights = offload::make_stage(*stage_.arena(), source_.network->plan, setup_of(rank_, source_));
  stage_.made_for_bytes = source_.activation_bytes;
  ++stage_.strategies;
}

void BorrowedStage::note_torch_peak() {
  torch_peak_ = rank_.on_gpu()
                    ? torch_peak(*rank_.device)
                    : TorchPeak{.held_bytes = torch_.peak_bytes(), .allocated_bytes = torch_.peak_bytes()};
}

void BorrowedStage::finish(StageRecord& record) {
  if (stage_.weights != nullptr) {
    stage_.weights->finish();
    record.offload = offload::since(before_, stage_.weights->report());
    if (read_now_) record.pin_all_s = stage_.arena()->pin_all_s();
    if (adds_in_calls(source_)) stage_.weights->set_loras({});
    if (!stays_on_device_) stage_.weights->drop();
  }
  record.weights_peak_bytes = rank_.account.peak();
  for (std::size_t i = 0; i < offload::kCategories; ++i) {
    const auto category = static_cast<offload::Category>(i);
    record.weights_peak_by_category[std::string(name_of(category))] = rank_.account.at_peak()[i];
  }
  if (!torch_peak_) note_torch_peak();
  record.torch_peak_bytes = torch_peak_->held_bytes;
  record.torch_allocated_peak_bytes = torch_peak_->allocated_bytes;
  record.activation_estimate_bytes = source_.activation_bytes;
  record.peak_host_bytes = memory_.peak_bytes();
  // The next stage's weights do not use LibTorch's allocator.
  release_torch_cache(*rank_.device);
  finished_ = true;
}

}  // namespace ferry::worker
