// Evaluates the DiT of a model folder on inputs that tests/parity/dit_parity.py writes.
//
//   dit_parity_probe MODEL_DIR IN OUT   IN: "latent" [C, F, h, w], "context" [Lt, text_dim], "timestep" [1]
//   fp64;
//                                       OUT: "velocity"
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/dit/dit.h"
#include "tests/support/plain_weights.h"
#include "tests/support/safetensors_io.h"

namespace ferry {
namespace {

void run(const std::vector<std::string>& args) {
  const auto checkpoint = model::Checkpoint::open(args.at(0), model::Part::Dit);
  const model::DitConfig config = model::dit_config(checkpoint);
  model::NetworkSpec spec = model::dit_spec(config, DType::F32);
  model::validate(checkpoint, spec);
  testing::PlainWeights weights(std::move(spec), [&](const model::TensorSpec& tensor) {
    const at::Tensor value = at::empty(tensor.shape, at::kFloat);
    model::read_tensor(*checkpoint.find(tensor.key), tensor, static_cast<std::byte*>(value.data_ptr()));
    return value;
  });
  const testing::TensorMap in = testing::read_safetensors(args.at(1));
  const auto device = make_cpu_device();
  model::Dit dit(config, weights, {.device = device.get(), .compute = DType::F32});
  model::DitContext context = dit.encode_context(in.at("context"));
  model::DitContext* branches[] = {&context};
  const double timestep = in.at("timestep").item<double>();
  testing::write_safetensors(args.at(2),
                             {{"velocity", dit.forward(in.at("latent"), timestep, branches).at(0)}});
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  try {
    ferry::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dit_parity_probe: %s\n", error.what());
    return 1;
  }
}
