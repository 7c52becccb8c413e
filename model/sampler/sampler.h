// Samplers of a flow model: from noise to a latent in `steps` evaluations (wan21.md sections 6 and 11.4).
//
// A latent at noise level sigma is x = (1 - sigma) x0 + sigma noise; the network predicts v = noise - x0.  A
// run starts from x = noise and calls, for i = 0 .. steps - 1:
//
//   v = network(x, timesteps()[i]);   x = sampler.step(i, x, v);
//
// after which x is the latent to decode.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace ferry::model {

// Noise levels, and the timesteps passed to the network.
struct Schedule {
  std::vector<double> timesteps;  // steps values, descending; integers for unipc and dpm++
  std::vector<float> sigmas;      // steps + 1 values, descending; the last is 0
};

// State of a multistep solver between steps.  Tensors are shared, never written to.
struct History {
  at::Tensor predicted;  // x0 predicted at the previous step
  at::Tensor before;     // x0 predicted at the step before that
  at::Tensor sample;     // corrected sample that the previous step started from
};

// State of a run between two steps, which can be saved and resumed.
struct SamplerState {
  int next_step = 0;
  std::map<std::string, at::Tensor> tensors;  // fp32, by name; those set at this step
};

struct Solver {
  at::Tensor (*step)(const Schedule&, History&, int i, const at::Tensor& x, const at::Tensor& v);
  // Names of the History fields set after `next_step` steps.
  std::vector<std::string> (*remembered)(int next_step);
};

// Scalars of a step are computed in fp32 on the host; tensors are fp32 and stay on their device.  A restored
// run gives the same bits as an uninterrupted one.
class Sampler {
 public:
  Sampler(Schedule schedule, Solver solver);

  int steps() const { return static_cast<int>(schedule_.timesteps.size()); }
  const std::vector<double>& timesteps() const { return schedule_.timesteps; }
  const std::vector<float>& sigmas() const { return schedule_.sigmas; }

  // Computes the latent at sigmas()[i + 1] from the latent `x` at sigmas()[i] and the network's output `v`
  // there.
  //   x, v, return  any one shape, fp32, one device
  // Queued on LibTorch's current stream.  Throws std::invalid_argument unless i is the next step and x and v
  // agree.
  at::Tensor step(int i, const at::Tensor& x, const at::Tensor& v);

  SamplerState state() const;
  // The tensors must be on the latent's device.  Throws std::invalid_argument if the step is outside the
  // schedule or the tensors are not those of this sampler at that step.
  void restore(const SamplerState& state);

 private:
  Schedule schedule_;
  Solver solver_;
  History history_;
  int next_step_ = 0;
};

// Makes a sampler at its first step.
//
//   unipc         UniPC (arXiv:2302.04867), order 2, bh2, on the official time grid
//   dpm++         DPM-Solver++ (arXiv:2211.01095), order 2, multistep, midpoint
//   euler         Euler, timesteps not truncated
//   step_distill  Euler on the levels a step-distilled model was trained on: timesteps 1000, 1000 - d, ...
//                 before the shift, d = 1000 / steps
//
// `shift` is applied once.  Throws UserError for another name, steps outside 1 to 1000, steps that do not
// divide 1000 with step_distill, or a shift outside 0.001 to 1000.
Sampler make_sampler(const std::string& name, int steps, double shift);

}  // namespace ferry::model
