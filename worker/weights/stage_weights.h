// A stage's loan of its network's weights, and its cost.
#pragma once

#include <functional>
#include <optional>

#include "offload/stage.h"
#include "worker/gpu.h"
#include "worker/record/memory_watch.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/record/torch_memory.h"
#include "worker/weights/device_full.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

class BorrowedStage {
 public:
  // Borrows the weights of `source`, ready for use: what the model already has is reused, the rest is read
  // and made now, divided between the ranks of each node.  `read` (optional) is called on every rank as soon
  // as the node's copy is filled, on the CPU once the strategy is ready too, and may be collective.  One loan
  // per role at a time.  Collective over the world.  Throws UserError on every rank: not enough memory,
  // unsuitable options.
  BorrowedStage(LoadedModel& model, const StageSource& source, Progress& progress, StageRecord& record,
                const std::function<void()>& read = {});
  // Returns the weights to the model, or frees what need not stay (loaded_model.h).  If the stage was aborted
  // before finish(), its strategy is remade for the next one.
  ~BorrowedStage();
  BorrowedStage(const BorrowedStage&) = delete;
  BorrowedStage& operator=(const BorrowedStage&) = delete;

  // On ranks that compute.
  offload::StageWeights& weights() { return *stage_.weights; }
  // LibTorch memory from now on does not count for the stage: buffers of a measurement.
  void note_torch_peak();
  // Ends the strategy's work and records what it did in this loan.
  void finish(StageRecord& record);

 private:
  bool computes() const { return source_.runs == Runs::AllRanks || rank_.is_first(); }
  void take(Progress& progress, StageRecord& record, const std::function<void()>& read);
  void note_shared_memory();
  void apply_strategy(StageRecord& record);
  void make_strategy();

  LoadedModel& model_;
  Rank& rank_;
  StageSource source_;
  LoadedStage& stage_;
  MemoryWatch memory_;
  TorchMemory torch_;
  ExplainsDeviceFull explains_;
  std::optional<TorchPeak> torch_peak_;
  bool read_now_ = false;     // read for this loan
  offload::Report before_{};  // the strategy's report at the start
  bool finished_ = false;
  bool stays_on_host_ = false;
  bool stays_on_device_ = false;
};

}  // namespace ferry::worker
