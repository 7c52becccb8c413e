// The VAE decoder on a GPU against the CPU.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "model/kernels/vae_norm.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/vae.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"
#include "tests/support/vae_weights.h"
#include "tests/unit/vae_reference.h"

namespace ferry::testing {
namespace {

class VaeGpu : public DeviceTest {};

// Lets cuDNN's convolutions keep fp32, not TF32, while it lives.
class WithoutTf32 {
 public:
  WithoutTf32() { at::globalContext().setAllowTF32CuDNN(false); }
  ~WithoutTf32() { at::globalContext().setAllowTF32CuDNN(allowed_); }

 private:
  bool allowed_ = at::globalContext().allowTF32CuDNN();
};

at::Tensor decode(const model::VaeConfig& config, model::Weights& weights, const at::Tensor& latent,
                  Device& device, DType compute) {
  const model::TorchStream stream(device);
  const at::Tensor input = latent.to(model::torch_device(device));
  std::vector<at::Tensor> parts;
  model::VaeDecoder decoder(config, weights, {&device, compute});
  decoder.decode(input, [&](int64_t, const at::Tensor& frames) { parts.push_back(frames); });
  at::Tensor frames = at::cat(parts, 1);
  device.compute().synchronize();
  return frames.to(at::kCPU);
}

at::Tensor decode(const model::VaeConfig& config, const Tensors& tensors, const at::Tensor& latent,
                  Device& device, DType compute = DType::F32) {
  const model::TorchStream stream(device);
  PlainWeights weights(
      model::vae_decoder_spec(config, compute),
      [&](const model::TensorSpec& spec) { return tensors.at(spec.key); }, model::torch_device(device));
  return decode(config, weights, latent, device, compute);
}

double relative_l2(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).norm() / wanted.norm()).item<double>();
}

TEST_F(VaeGpu, DecodeAgreesWithTheCpu) {
  const auto cpu = make_cpu_device();
  for (const auto& config : {vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2),
                             vae_config_of(96, {1, 2, 4, 4}, {false, true, true}, 2),
                             vae_config_of(6, {1, 3, 5}, {true, true}, 1, 4)}) {
    const Tensors tensors = random_weights(config);
    const at::Tensor latent = golden_input({config.z_dim, 3, 5, 7}, 0.7, 0.37);
    const at::Tensor wanted = decode(config, tensors, latent, *cpu);
    // LibTorch's defaults, so TF32 convolutions: 10 bits of fraction.
    EXPECT_LT(relative_l2(decode(config, tensors, latent, device()), wanted), 5e-3);
    // bf16 rounds at the same places on both devices; a factor of 2 for sums in another order.
    const double narrow = relative_l2(decode(config, tensors, latent, *cpu, DType::BF16), wanted);
    EXPECT_LT(relative_l2(decode(config, tensors, latent, device(), DType::BF16), wanted), 2 * narrow);
    const WithoutTf32 exact;
    EXPECT_LT(relative_l2(decode(config, tensors, latent, device()), wanted), 1e-5);
  }
}

// What is stated of the bf16 option (tests/unit/vae_decode_test.cpp), of pictures that a trained model
// decodes.
TEST_F(VaeGpu, Bf16IsWithin45DecibelsOfTheCpusFp32OnTheDemoModel) {
  const std::string folder = std::string(std::getenv("FERRY_SOURCE_DIR")) + "/models/demo";
  const auto cpu = make_cpu_device();
  const VaeFolder wide(folder, DType::F32);
  const VaeFolder narrow(folder, DType::BF16, model::torch_device(device()));
  const at::Tensor latent = smooth_latent(wide.config.z_dim);
  const at::Tensor wanted = decode(wide.config, *wide.weights, latent, *cpu, DType::F32);
  EXPECT_GE(psnr_db(decode(narrow.config, *narrow.weights, latent, device(), DType::BF16), wanted), 45.0);
}

at::Tensor normed(const at::Tensor& x, const at::Tensor& gamma, at::ScalarType to, Device& device,
                  bool silu) {
  const model::TorchStream stream(device);
  const at::Device place = model::torch_device(device);
  const at::Tensor in = x.to(place);
  const at::Tensor scale = gamma.to(place);
  const at::Tensor out = at::empty(x.sizes(), in.options().dtype(to));
  model::kernels::vae_norm({.x = in.const_data_ptr(),
                            .y = out.mutable_data_ptr(),
                            .x_type = model::dtype_of(in),
                            .y_type = model::dtype_of(out),
                            .gamma = scale.const_data_ptr<float>(),
                            .pixels = x.size(0),
                            .channels = x.size(1),
                            .silu = silu},
                           device.compute());
  device.compute().synchronize();
  return out.to(at::kCPU).to(at::kFloat);
}

TEST_F(VaeGpu, NormAgreesWithTheCpu) {
  const auto cpu = make_cpu_device();
  for (const int64_t channels : {1, 3, 4, 31, 96, 97, 130, 384, 1024}) {
    const at::Tensor x = golden_input({1001, channels}, 0.3, 0.71) * 20.0;
    const at::Tensor gamma = golden_input({channels}, 1.1, 0.3) + 1.0;
    const at::Tensor narrow = x.to(at::kBFloat16);
    for (const bool silu : {true, false}) {
      // fp32 to a few ulp; the result in bf16 may fall on the other side of one rounding, 2^-8.
      const auto error = [&](const at::Tensor& in, at::ScalarType to) {
        const at::Tensor wanted = normed(in, gamma, to, *cpu, silu);
        return ((normed(in, gamma, to, device(), silu) - wanted).abs() / (wanted.abs() + 1e-3))
            .max()
            .item<double>();
      };
      EXPECT_LT(error(x, at::kFloat), 1e-5) << channels;
      EXPECT_LT(error(narrow, at::kFloat), 1e-5) << channels;
      EXPECT_LT(error(narrow, at::kBFloat16), 1.01 / 128) << channels;
    }
  }
}

// The host may run ahead of the device; a host synchronisation in a chunk would show as a sink that is called
// only once the work before it is done.  Three chunks: the driver itself makes the host wait beyond about a
// thousand queued kernels.
TEST_F(VaeGpu, DecodeNeverMakesTheHostWait) {
  const auto config = vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2);
  const Tensors tensors = random_weights(config);
  const model::TorchStream stream(device());
  const at::Device place = model::torch_device(device());
  PlainWeights weights(
      model::vae_decoder_spec(config, DType::F32),
      [&](const model::TensorSpec& spec) { return tensors.at(spec.key); }, place);
  const at::Tensor latent = golden_input({16, 3, 6, 6}, 0.7, 0.37).to(place);
  const auto run = [&](const model::FrameSink& sink) {
    model::VaeDecoder(config, weights, {&device(), DType::F32}).decode(latent, sink);
  };
  run([](int64_t, const at::Tensor&) {});  // plans and kernels are loaded now
  device().compute().synchronize();
  const auto gate = device().make_event(EventKind::Order);
  const at::Tensor a = at::full({8192, 8192}, 1e-4, at::TensorOptions().device(place));
  at::Tensor product = a;
  for (int i = 0; i < 80; ++i) product = product.matmul(a);  // 88 TFLOP of fp32: more than a second
  device().compute().record(*gate);
  int early = 0;
  run([&](int64_t, const at::Tensor&) { early += gate->done() ? 0 : 1; });
  device().compute().synchronize();
  EXPECT_EQ(early, 3) << "chunks queued while the work before them still ran";
}

}  // namespace
}  // namespace ferry::testing
