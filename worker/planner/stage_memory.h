// Memory of a model's other stages, and how long they take.
#pragma once

#include <cstddef>
#include <map>
#include <tuple>
#include <vector>

#include "model/weights.h"
#include "worker/planner/planner.h"

namespace ferry::worker {

struct StageBytes {
  std::size_t weights = 0;  // on each device that runs it
  std::size_t activations = 0;
  std::size_t host = 0;  // the node's copy
};

// Text encoder and VAE, under the same options as the DiT.  Remembers what it has planned.
class OtherStages {
 public:
  OtherStages(const ModelShapes& model, const PlanRequest& request, const PlannedJob& job)
      : model_(model), request_(request), job_(job) {}

  // One of each stage that the model has.  `ranks` share the video, `sharers` of them are on a node.
  std::vector<StageBytes> bytes(const offload::Options& options, int ranks, int sharers);

  double text_s(const MachineRates& machine) const;
  double decode_s(const MachineRates& machine, int ranks) const;
  std::size_t text_bytes() const;  // of the node's copy

 private:
  using Key = std::tuple<offload::StrategyKind, double, int, int>;
  StageBytes weights_of(const model::NetworkSpec& spec, const offload::Options& options, int sharers,
                        bool alone);

  const ModelShapes& model_;
  const PlanRequest& request_;
  const PlannedJob& job_;
  std::map<std::pair<Key, std::string>, StageBytes> known_;
};

}  // namespace ferry::worker
