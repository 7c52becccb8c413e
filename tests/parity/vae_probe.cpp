// vae_probe MODEL_DIR LATENT.safetensors OUT.safetensors: decodes the tensor `latent` [C,T,h,w] (fp32,
// normalised) with the VAE of MODEL_DIR in fp32 and writes `frames` [3,F,H,W], not clamped.
#include <ATen/ops/cat.h>

#include <iostream>

#include "model/checkpoint/checkpoint.h"
#include "model/vae/vae.h"
#include "tests/support/plain_weights.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/vae_weights.h"

namespace {

using namespace ferry;

void run(char** arguments) {
  const testing::VaeFolder vae(arguments[1], DType::F32);
  const auto device = make_cpu_device();
  std::vector<at::Tensor> parts;
  model::vae_decode(vae.config, *vae.weights, testing::read_safetensors(arguments[2]).at("latent"),
                    {device.get(), DType::F32},
                    [&](std::int64_t, const at::Tensor& frames) { parts.push_back(frames); });
  testing::write_safetensors(arguments[3], {{"frames", at::cat(parts, 1)}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: vae_probe MODEL_DIR LATENT OUT\n";
    return 2;
  }
  try {
    run(argv);
  } catch (const std::exception& error) {
    std::cerr << "vae_probe: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
