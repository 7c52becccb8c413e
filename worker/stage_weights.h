// The weights of one stage for as long as the stage lasts: the node's copy and the strategy over it.
#pragma once

#include <memory>
#include <optional>

#include "offload/arena.h"
#include "offload/stage.h"
#include "worker/gpu.h"
#include "worker/memory_watch.h"
#include "worker/networks.h"
#include "worker/progress.h"
#include "worker/rank.h"
#include "worker/record.h"
#include "worker/torch_memory.h"

namespace ferry::worker {

// Who computes a stage: all ranks in step, or the first one while the others wait.
enum class Runs : std::uint8_t { Together, Alone };

// Whether the ranks of a node read the weights of such a stage: the first rank is on node 0.
constexpr bool reads_weights(Runs runs, int node_index) { return runs == Runs::Together || node_index == 0; }

struct StageSource {
  const Network* network = nullptr;
  const offload::Options* options = nullptr;
  Runs runs = Runs::Together;
  std::size_t activation_bytes = 0;  // that the stage will want beside its weights
  LoraOptions lora{};                // for the network's LoRA, if it has one
};

class LoadedStage {
 public:
  // Reads the network's files into the copy of each node where a rank computes, divided between the node's
  // ranks, and prepares the strategy on the ranks that compute.  Collective over the world.
  // Throws UserError on every rank: not enough memory, options that do not suit the network.
  LoadedStage(const StageSource& source, Rank& rank, Progress& progress, StageRecord& record);
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
  void load(const StageSource& source, Progress& progress);
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
