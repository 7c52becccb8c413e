// Evaluates the DiT of a model folder on inputs that tests/parity/dit_parity.py writes.
//
//   dit_parity_probe MODEL_DIR IN OUT   IN: "latent" [C, F, h, w], "context" [Lt, text_dim], "timestep" [1]
//   in
//                                       fp64; OUT: "velocity"
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <string>

#include "checkpoint/checkpoint.h"
#include "model/dit/dit.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/parity/probe.h"
#include "tests/support/plain_weights.h"
#include "tests/support/safetensors_io.h"

namespace ferry {
namespace {

void run(const testing::Arguments& args, Device& device) {
  const model::TorchStream on(device);
  const at::Device place = model::torch_device(device);
  const auto checkpoint = checkpoint::Checkpoint::open(args.at(0), checkpoint::Part::Dit);
  const model::DitConfig config = checkpoint::dit_config(checkpoint);
  model::NetworkSpec spec = model::dit_spec(config, DType::F32);
  checkpoint::validate(checkpoint, spec);
  const auto read = [&](const model::TensorSpec& tensor) {
    const at::Tensor value = at::empty(tensor.shape, at::kFloat);
    checkpoint::read_tensor(*checkpoint.find(tensor.key), tensor, static_cast<std::byte*>(value.data_ptr()));
    return value;
  };
  testing::PlainWeights weights(std::move(spec), read, place);
  const testing::TensorMap in = testing::read_safetensors(args.at(1));
  model::Dit dit(config, weights, {.device = &device, .compute = DType::F32});
  model::DitContext context = dit.encode_context(in.at("context"));
  model::DitContext* branches[] = {&context};
  const double timestep = in.at("timestep").item<double>();
  const at::Tensor velocity = dit.forward(in.at("latent").to(place), timestep, branches).at(0);
  testing::write_safetensors(args.at(2), {{"velocity", velocity.cpu()}});
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  return ferry::testing::probe_main(argc, argv, "dit_parity_probe MODEL_DIR IN OUT", ferry::run);
}
