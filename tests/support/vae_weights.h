// The decoder of a model folder's VAE, its weights simply in memory.
#pragma once

#include <ATen/ops/empty.h>

#include <memory>
#include <string>

#include "model/checkpoint/checkpoint.h"
#include "model/vae/vae.h"
#include "tests/support/plain_weights.h"

namespace ferry::testing {

struct VaeFolder {
  // Throws UserError.
  VaeFolder(const std::string& folder, DType compute, at::Device device = at::kCPU) {
    const auto checkpoint = model::Checkpoint::open(folder, model::Part::Vae);
    config = model::vae_config(checkpoint);
    const model::NetworkSpec spec = model::vae_decoder_spec(config, compute);
    model::validate(checkpoint, spec);
    const auto read = [&](const model::TensorSpec& tensor) {
      const at::Tensor value = at::empty(tensor.shape, at::kFloat);
      model::TensorSpec plain = tensor;
      plain.dtype = DType::F32;
      plain.layout = model::Layout::Contiguous;
      model::read_tensor(*checkpoint.find(tensor.key), plain,
                         static_cast<std::byte*>(value.mutable_data_ptr()));
      return value;
    };
    weights = std::make_unique<PlainWeights>(spec, read, device);
  }

  model::VaeConfig config;
  std::unique_ptr<PlainWeights> weights;
};

}  // namespace ferry::testing
