// Where sampling stands between two steps: all that the remaining steps, and decoding, need.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "base/device.h"
#include "model/sampler/sampler.h"

namespace ferry::worker {

struct SamplingState {
  at::Tensor latent;                 // [C, T, h, w] fp32: the noise, later the result of the steps done
  model::SamplerState sampler{};     // next_step: number of steps done
  std::vector<at::Tensor> contexts;  // [Lt, text_dim], conditional first

  int steps_done() const { return sampler.next_step; }
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Its tensors: latent, sampler.NAME, context.0, context.1.
NamedTensors named_tensors(const SamplingState& state);
// Puts a tensor of named_tensors() in its place; contexts come in order.  Returns false for another name.
bool put_tensor(SamplingState& state, const std::string& name, const at::Tensor& tensor);

// Copies it to host memory while the device goes on with other work; blocks until done.  The tensors must be
// complete on the device.
SamplingState on_host(Device& device, const SamplingState& state);

}  // namespace ferry::worker
