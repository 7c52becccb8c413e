// A stage's loan of its network's weights, and what they cost it.
#pragma once

#include <functional>
#include <optional>

#include "offload/stage.h"
#include "worker/gpu.h"
#include "worker/record/memory_watch.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/record/torch_memory.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

class BorrowedStage {
 public:
  // The weights of `source`, ready where they are computed with: what the model has of them already is used,
  // the rest is read and made now, divided between the ranks of each node.  `read`, if there is one, is
  // called on every rank as soon as the node's copy is filled, on the CPU when the strategy is ready too, and
  // may be collective.  One loan of a role at a time. Collective over the world.  Throws UserError on every
  // rank: not enough memory, options that do not suit the network.
  BorrowedStage(LoadedModel& model, const StageSource& source, Progress& progress, StageRecord& record,
                const std::function<void()>& read = {});
  // Gives the weights back to the model, or lets go of what need not stay (loaded_model.h).  The strategy of
  // a stage that was broken off, before finish(), is made again for the next.
  ~BorrowedStage();
  BorrowedStage(const BorrowedStage&) = delete;
  BorrowedStage& operator=(const BorrowedStage&) = delete;

  // On the ranks that compute.
  offload::StageWeights& weights() { return *stage_.weights; }
  // What LibTorch holds from now on does not count to the stage: the buffers of a measurement.
  void note_torch_peak();
  // Ends the strategy's work and notes what it did in this loan.
  void finish(StageRecord& record);

 private:
  bool computes() const { return source_.runs == Runs::Together || rank_.is_first(); }
  void take(Progress& progress, StageRecord& record, const std::function<void()>& read);
  void note_shared_memory();
  void finish_load(Progress& progress);
  void apply_strategy(StageRecord& record);
  void make_strategy();

  LoadedModel& model_;
  Rank& rank_;
  StageSource source_;
  LoadedStage& stage_;
  MemoryWatch memory_;
  TorchMemory torch_;
  std::optional<TorchPeak> torch_peak_;
  bool read_now_ = false;     // for this loan
  offload::Report before_{};  // of what the strategy had done
  bool finished_ = false;
  bool stays_on_host_ = false;
  bool stays_on_device_ = false;
};

}  // namespace ferry::worker
