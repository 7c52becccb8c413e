// A small DiT with random weights under any strategy, for the tests that compare bits.
#pragma once

#include <memory>
#include <vector>

#include "model/dit/dit.h"
#include "model/kernels/attention.h"
#include "model/torch_stream.h"
#include "offload/stage.h"
#include "parallel/groups.h"
#include "tests/unit/offload_plans.h"

namespace ferry::testing {

// Seven layers, four heads.
model::DitConfig offload_dit_config();

// An arena of it, loaded with seeded values, divided between the ranks of `node`.
std::unique_ptr<offload::NodeArena> dit_arena(const offload::NodeRanks& node, const offload::Options& options,
                                              DType compute);

// Resident, and async by each transport and interleave and with half of each block shared.
std::vector<offload::Options> ways_of_weights();

struct DitRig {
  Device* device = nullptr;
  parallel::Groups* groups = nullptr;  // nullptr: one rank
  Stream* exchange_stream = nullptr;
  DType compute = DType::BF16;
  bool paired = true;  // both guidance branches per forward, else one after the other
  model::kernels::Attention attention{};
};

// Forwards of both guidance branches, one by one, for what counts what a forward asks of a device.
class DitForwards {
 public:
  DitForwards(const DitRig& rig, offload::StageWeights& weights);
  void run(double timestep);

 private:
  model::TorchStream on_;
  model::Dit dit_;
  std::vector<model::DitContext> contexts_;
  at::Tensor latent_;
};

// The latent after a few steps of guidance, from fixed noise and contexts.
at::Tensor denoise(const DitRig& rig, offload::StageWeights& weights, int steps = 2);

}  // namespace ferry::testing
