// The weights of one stage for as long as the stage lasts: the node's copy and the strategy over it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "offload/stage.h"
#include "worker/gpu.h"
#include "worker/record/memory_watch.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/record/torch_memory.h"
#include "worker/weights/stage_load.h"

namespace ferry::worker {

class LoadedStage {
 public:
  // Reads the network's files into the copy of each node where a rank computes, divided between the node's
  // ranks, and prepares the strategy on the ranks that compute.  `begun` is what begin_load() of the same
  // source gave earlier; without it the load begins now.  `read`, if there is one, is called on every rank as
  // soon as the node's copy is filled, on the CPU when the strategy is ready too, and may be collective.
  // Collective over the world. Throws UserError on every rank: not enough memory.
  LoadedStage(const StageSource& source, Rank& rank, Progress& progress, StageRecord& record,
              StageLoad begun = {}, const std::function<void()>& read = {});
  // The node's copy is given back by the rank's janitor, which takes longer than the stage's end should; a
  // page-locked one behind the last stage, or where the next one's weights need the room.
  ~LoadedStage();
  LoadedStage(const LoadedStage&) = delete;
  LoadedStage& operator=(const LoadedStage&) = delete;

  // On the ranks that compute.
  offload::StageWeights& weights() { return *weights_; }
  // What LibTorch holds from now on does not count to the stage: the buffers of a measurement.
  void note_torch_peak();
  // Ends the strategy's work and notes what it did.
  void finish(StageRecord& record);

 private:
  bool computes() const { return runs_ == Runs::Together || rank_->is_first(); }
  void finish_load(const StageSource& source, StageLoad begun, Progress& progress);
  void apply_strategy(const StageSource& source, StageRecord& record);
  Rank* rank_;
  Runs runs_;
  MemoryWatch memory_;
  TorchMemory torch_;
  std::optional<TorchPeak> torch_peak_;
  std::size_t activation_bytes_ = 0;
  std::unique_ptr<offload::NodeArena> arena_;
  std::unique_ptr<offload::StageWeights> weights_;
};

}  // namespace ferry::worker
