#include "worker/state/sampling_state.h"

#include <ATen/ops/empty.h>

#include <memory>
#include <string_view>

namespace ferry::worker {
namespace {

constexpr const char* kLatent = "latent";
constexpr std::string_view kSampler = "sampler.";
constexpr std::string_view kContext = "context.";

std::string context_name(std::size_t i) { return std::string(kContext) + std::to_string(i); }

}  // namespace

NamedTensors named_tensors(const SamplingState& state) {
  NamedTensors tensors = {{kLatent, state.latent.contiguous()}};
  for (const auto& [name, tensor] : state.sampler.tensors)
    tensors.emplace_back(std::string(kSampler) + name, tensor.contiguous());
  for (std::size_t i = 0; i < state.contexts.size(); ++i)
    tensors.emplace_back(context_name(i), state.contexts[i].contiguous());
  return tensors;
}

bool put_tensor(SamplingState& state, const std::string& name, const at::Tensor& tensor) {
  if (name == kLatent) {
    state.latent = tensor;
  } else if (name.starts_with(kSampler)) {
    state.sampler.tensors[name.substr(kSampler.size())] = tensor;
  } else if (name == context_name(state.contexts.size())) {
    state.contexts.push_back(tensor);
  } else {
    return false;
  }
  return true;
}

SamplingState on_host(Device& device, const SamplingState& state) {
  // The compute stream already has the next step in its queue.
  const std::unique_ptr<Stream> stream = device.make_stream("ferry-state", Priority::High);
  SamplingState copy;
  copy.sampler.next_step = state.steps_done();
  for (const auto& [name, tensor] : named_tensors(state)) {
    const at::Tensor host = at::empty(tensor.sizes(), tensor.scalar_type());
    stream->copy(host.mutable_data_ptr(), tensor.const_data_ptr(), tensor.nbytes());
    put_tensor(copy, name, host);
  }
  stream->synchronize();
  return copy;
}

}  // namespace ferry::worker
