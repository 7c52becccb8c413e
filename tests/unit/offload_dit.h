// A small DiT with random weights under any strategy, for the tests that compare bits.
#pragma once

#include <memory>
#include <vector>

#include "model/dit/dit.h"
#include "offload/stage.h"
#include "parallel/groups.h"

namespace ferry::testing {

// Seven layers, four heads.
model::DitConfig offload_dit_config();

// An arena of it, loaded with seeded values, divided between the ranks of `node`.
std::unique_ptr<offload::NodeArena> dit_arena(const offload::NodeRanks& node, const offload::Options& options,
                                              DType compute);

struct DitRig {
  Device* device = nullptr;
  parallel::Groups* groups = nullptr;  // nullptr: one rank
  Stream* exchange = nullptr;
  DType compute = DType::BF16;
  bool paired = true;  // both guidance branches per forward, else one after the other
};

// The latent after a few steps of guidance, from fixed noise and contexts.
at::Tensor denoise(const DitRig& rig, offload::StageWeights& weights, int steps = 2);

}  // namespace ferry::testing
