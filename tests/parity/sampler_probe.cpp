// Runs a sampler on velocities that tests/parity/sampler_parity.py writes.
//
//   sampler_probe NAME STEPS SHIFT IN OUT   IN: "x" and "v" [STEPS, ...]; OUT: "samples" [STEPS, ...], the
//                                           latent after each step, "timesteps" and "sigmas"
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <string>
#include <vector>

#include "model/sampler/sampler.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/parity/probe.h"
#include "tests/support/safetensors_io.h"

namespace ferry {
namespace {

template <class T>
at::Tensor tensor_of(const std::vector<T>& values, at::ScalarType type) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, type);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<T>());
  return out;
}

void run(const testing::Arguments& args, Device& device) {
  const model::TorchStream on(device);
  const at::Device place = model::torch_device(device);
  model::Sampler sampler = model::make_sampler(args.at(0), std::stoi(args.at(1)), std::stod(args.at(2)));
  const testing::TensorMap in = testing::read_safetensors(args.at(3));
  at::Tensor x = in.at("x").to(place);
  std::vector<at::Tensor> samples;
  for (int i = 0; i < sampler.steps(); ++i) {
    x = sampler.step(i, x, in.at("v")[i].to(place));
    samples.push_back(x);
  }
  testing::write_safetensors(args.at(4), {{"samples", at::stack(samples).cpu()},
                                          {"timesteps", tensor_of(sampler.timesteps(), at::kDouble)},
                                          {"sigmas", tensor_of(sampler.sigmas(), at::kFloat)}});
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  return ferry::testing::probe_main(argc, argv, "sampler_probe NAME STEPS SHIFT IN OUT", ferry::run);
}
