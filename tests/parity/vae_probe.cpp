// vae_probe MODEL_DIR LATENT.safetensors OUT.safetensors: decodes the tensor `latent` [C,T,h,w] (fp32,
// normalised) with the VAE of MODEL_DIR in fp32 and writes `frames` [3,F,H,W], not clamped.
#include <ATen/Context.h>
#include <ATen/ops/cat.h>

#include "checkpoint/checkpoint.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/vae.h"
#include "tests/parity/probe.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/vae_weights.h"

namespace ferry {
namespace {

void run(const testing::Arguments& args, Device& device) {
  at::globalContext().setAllowTF32CuDNN(false);
  const model::TorchStream on(device);
  const at::Device place = model::torch_device(device);
  const testing::VaeFolder vae(args.at(0), DType::F32, place);
  const at::Tensor latent = testing::read_safetensors(args.at(1)).at("latent").to(place);
  std::vector<at::Tensor> parts;
  model::VaeDecoder decoder(vae.config, *vae.weights, {&device, DType::F32});
  decoder.decode(latent, [&](std::int64_t, const at::Tensor& frames) { parts.push_back(frames.cpu()); });
  testing::write_safetensors(args.at(2), {{"frames", at::cat(parts, 1)}});
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  return ferry::testing::probe_main(argc, argv, "vae_probe MODEL_DIR LATENT OUT", ferry::run);
}
