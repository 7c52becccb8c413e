// The DiT on a GPU against the CPU.
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "model/dit/linear.h"
#include "model/kernels/fa3.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/unit/dit_support.h"

namespace ferry::testing {
namespace {

class DitGpu : public DeviceTest {};

struct Case {
  std::int64_t head_dim;
  std::vector<std::int64_t> latent;  // F, h, w
};
// Head sizes that the attention kernels of GPUs take (multiples of 8), odd token counts.
const std::vector<Case> kCases = {{24, {3, 10, 14}}, {48, {1, 2, 2}}, {128, {3, 6, 6}}};

// Two branches, two forwards; the second results, on the host.
std::vector<at::Tensor> run(const model::DitConfig& config, const Case& c, DType compute, Device& device,
                            const model::kernels::Attention& attention = model::kernels::Attention()) {
  const at::Device place = model::torch_device(device);
  const auto weights = random_weights(config, compute, place);
  model::Dit dit(config, *weights, {.device = &device, .compute = compute, .attention = attention});
  model::DitContext positive = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
  model::DitContext negative = dit.encode_context(golden_input({9, config.text_dim}, 0.7, 0.03));
  model::DitContext* branches[] = {&positive, &negative};
  const at::Tensor latent = golden_input({16, c.latent[0], c.latent[1], c.latent[2]}, 0.3, 0.11).to(place);
  dit.forward(latent, 733, branches);
  std::vector<at::Tensor> found = dit.forward(latent, 733, branches);
  device.compute().synchronize();
  for (at::Tensor& value : found) value = value.cpu();
  return found;
}

// fp32: sums in another order.  bf16: flipped last bits (2^-9) carried through three blocks, the tolerance of
// wan21.md section 15 for a whole model.
TEST_F(DitGpu, ForwardAgreesWithTheCpu) {
  const auto cpu = make_cpu_device();
  for (const auto& [compute, tolerance] : {std::pair{DType::F32, 1e-5}, std::pair{DType::BF16, 1e-2}}) {
    for (const Case& c : kCases) {
      const model::DitConfig config = four_head_config(c.head_dim);
      const auto wanted = run(config, c, compute, *cpu);
      const auto found = run(config, c, compute, device());
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_LE(relative_l2(found[i], wanted[i]), tolerance)
            << "head_dim " << c.head_dim << " branch " << i;
      }
    }
  }
}

TEST_F(DitGpu, ForwardWithFa3AgreesWithTheCpu) {
  const std::string file = model::kernels::find_fa3();
  if (file.empty() || !model::kernels::takes_fa3(device()))
    GTEST_SKIP() << "no fa3-fwd, or no GPU that takes it";
  const auto fa3 = model::kernels::load_fa3(file, device());
  const auto cpu = make_cpu_device();
  for (const Case& c : kCases) {
    const model::DitConfig config = four_head_config(c.head_dim);
    const auto wanted = run(config, c, DType::BF16, *cpu);
    const auto found = run(config, c, DType::BF16, device(), fa3);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_LE(relative_l2(found[i], wanted[i]), 1e-2) << "head_dim " << c.head_dim << " branch " << i;
    }
  }
}

// The product's epilogue against fp64: one rounding, 0.0017 with numbers like these; a second one makes it
// 0.0022.
TEST_F(DitGpu, LinearWithGeluRoundsOnce) {
  const at::Tensor x = at::randn({300, 256}).to(at::kBFloat16);
  const at::Tensor weight = (at::randn({520, 256}) / 12).to(at::kBFloat16);
  const at::Tensor bias = at::randn({520}).to(at::kBFloat16);
  const at::Tensor exact =
      at::gelu(at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble)), "tanh");
  const model::TorchStream on(device());
  const at::Device place = model::torch_device(device());
  const std::vector<at::Tensor> tensors = {weight.to(place), bias.to(place)};
  const at::Tensor out = at::zeros({300, 520}, at::TensorOptions(place).dtype(at::kBFloat16));
  model::linear_gelu_out(out, x.to(place), {.tensors = tensors}, device().compute());
  device().compute().synchronize();
  EXPECT_LT(relative_l2(out.cpu(), exact), 2e-3);
}

TEST_F(DitGpu, RunsOnTheDevicesComputeStream) {
  const model::TorchStream on(device());
  const at::Tensor x = at::randn({1 << 20}).to(model::torch_device(device()));
  const at::Tensor y = x * 2.0;
  device().compute().synchronize();
  EXPECT_TRUE(y.cpu().equal(x.cpu() * 2.0));
}

}  // namespace
}  // namespace ferry::testing
