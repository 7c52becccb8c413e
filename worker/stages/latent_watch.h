// Whether the latent stays finite, step by step, and what there is to go back to when it does not.
//
// The answer for a step is read when the step's clock says that it has ended, which is while the device works
// on the next: so two steps' beginnings are kept.  Every rank has the whole latent, bit for bit the same, so
// all ranks come to the same answer at the same step without asking each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string>

#include "model/sampler/sampler.h"
#include "model/weights.h"
#include "worker/stages/branches.h"
#include "worker/stages/finite_flags.h"
#include "worker/stages/stages.h"

namespace ferry::worker {

// The denoising as it goes on; what it points to is the stage's.
struct Denoising {
  const StageInput& input;
  model::Weights& weights;
  model::Dit& dit;
  Branches& branches;
};

class LatentWatch {
 public:
  LatentWatch(Device& device, int steps) : flags_(device, static_cast<std::size_t>(steps)) {}

  // Step i, from 0, starts from `x`; copies nothing.
  void begins(int i, const at::Tensor& x, const model::Sampler& sampler);
  // It gave `x`: queues a look.
  void ends(int i, const at::Tensor& x) { flags_.look(static_cast<std::size_t>(i), x); }
  // Step i, one of the last two, has ended on the device.  Throws NotFinite with the latent that it started
  // from when it gave something else than finite values, after running it again to find where.  Collective
  // then.
  void check(int i, const Denoising& denoising) const;

 private:
  struct Start {
    at::Tensor x;
    model::SamplerState sampler;
  };
  const Start& start(int i) const { return starts_.at(static_cast<std::size_t>(i % 2)); }
  std::string cause(int i, const Denoising& denoising) const;

  FiniteFlags flags_;
  std::array<Start, 2> starts_;
};

}  // namespace ferry::worker
