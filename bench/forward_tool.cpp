// ferry_bench_forward SIZE FRAMES LAYERS fp32|bf16 [SAMPLES] [BRANCHES]: one JSON line of bench/forward.h,
// for a DiT of T2V-1.3B's layers with random weights on the CPU.  tools/bench_diffusers.py runs it in turn
// with diffusers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <iostream>
#include <string>

#include "bench/forward.h"
#include "tests/support/plain_weights.h"

namespace {

// Weights that keep activations near 1.
at::Tensor random_tensor(const ferry::model::TensorSpec& spec) {
  const at::Tensor value = at::randn(spec.shape, at::kFloat);
  if (spec.key.find("norm") != std::string::npos) return value * 0.1 + 1.0;
  return value * std::sqrt(static_cast<double>(spec.shape[0]) / static_cast<double>(value.numel()));
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4 || arguments.size() > 6) {
    std::cerr << "usage: ferry_bench_forward WIDTHxHEIGHT FRAMES LAYERS fp32|bf16 [SAMPLES] [BRANCHES]\n";
    return 2;
  }
  ferry::bench::ForwardCase what;
  const std::size_t x = arguments[0].find('x');
  what.width = std::stoll(arguments[0].substr(0, x));
  what.height = std::stoll(arguments[0].substr(x + 1));
  what.frames = std::stoll(arguments[1]);
  what.config.layers = std::stoll(arguments[2]);
  const ferry::DType compute = ferry::dtype_from_name(arguments[3]);
  if (arguments.size() > 4) what.samples = std::stoi(arguments[4]);
  if (arguments.size() > 5) what.branches = std::stoi(arguments[5]);
  ferry::testing::PlainWeights weights(ferry::model::dit_spec(what.config, compute), random_tensor);
  const auto device = ferry::make_cpu_device();
  const ferry::model::DitRuntime runtime = {.device = device.get(), .compute = compute};
  std::cout << to_json(ferry::bench::measure_forward(what, weights, runtime)) << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "ferry_bench_forward: " << error.what() << '\n';
    return 1;
  }
}
