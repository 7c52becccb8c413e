// Checks after each step that the latent is finite, and keeps state to diagnose a failure.
//
// The result for a step is read when the step's clock reports its end, while the device works on the next: so
// the starts of two steps are kept.  Every rank has the whole latent, bit-identical, so all ranks reach the
// same result at the same step without communication.
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

// The denoising in progress; everything it points to belongs to the stage.
struct Denoising {
  const StageInput& input;
  model::Weights& weights;
  model::Dit& dit;
  Branches& branches;
};

class LatentWatch {
 public:
  LatentWatch(Device& device, int steps) : flags_(device, static_cast<std::size_t>(steps)) {}

  // Records that step i, from 0, starts from `x`; copies nothing.
  void begins(int i, const at::Tensor& x, const model::Sampler& sampler);
  // Queues a check of the step's result `x`.
  void ends(int i, const at::Tensor& x) { flags_.look(static_cast<std::size_t>(i), x); }
  // Call when step i, one of the last two, has ended on the device.  If its result is not finite, repeats the
  // step to find where, which is collective, and throws NotFinite with the latent that it started from.
  void check(int i, const Denoising& denoising) const;

  struct Start {
    at::Tensor x;
    model::SamplerState sampler;
  };
  // What step i, one of the last two, started from.
  const Start& start(int i) const { return starts_.at(static_cast<std::size_t>(i % 2)); }

 private:
  std::string cause(int i, const Denoising& denoising) const;

  FiniteFlags flags_;
  std::array<Start, 2> starts_;
};

}  // namespace ferry::worker
