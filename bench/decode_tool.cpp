// ferry_bench_decode WIDTH HEIGHT FRAMES fp32|bf16 [SAMPLES] [BASE_DIM]: one JSON line of bench/decode.h, for
// a Wan2.1 VAE with random weights on the CPU.  tools/bench_diffusers_vae.py runs it in turn with diffusers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <iostream>
#include <string>

#include "bench/decode.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/plain_weights.h"

namespace {

// Weights that keep activations near 1.
at::Tensor random_tensor(const ferry::model::TensorSpec& spec) {
  const at::Tensor value = at::randn(spec.shape, at::kFloat);
  if (spec.key.ends_with(".gamma")) return value * 0.1 + 1.0;
  return value * std::sqrt(static_cast<double>(spec.shape[0]) / static_cast<double>(value.numel()));
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4 || arguments.size() > 7) {
    std::cerr << "usage: ferry_bench_decode WIDTH HEIGHT FRAMES fp32|bf16 [SAMPLES] [BASE_DIM] [cpu|cuda]\n";
    return 2;
  }
  ferry::bench::DecodeCase what;
  what.width = std::stoll(arguments[0]);
  what.height = std::stoll(arguments[1]);
  what.frames = std::stoll(arguments[2]);
  what.compute = ferry::dtype_from_name(arguments[3]);
  if (arguments.size() > 4) what.samples = std::stoi(arguments[4]);
  if (arguments.size() > 5) what.config.base_dim = std::stoll(arguments[5]);
  what.config.latents_mean = ferry::model::wan21_latents_mean();
  what.config.latents_std = ferry::model::wan21_latents_std();
  ferry::testing::PlainWeights weights(ferry::model::vae_decoder_spec(what.config, what.compute),
                                       random_tensor);
  const auto device = ferry::make_cpu_device();
  std::cout << to_json(ferry::bench::measure_decode(what, weights, *device)) << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "ferry_bench_decode: " << error.what() << '\n';
    return 1;
  }
}
