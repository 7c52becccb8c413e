// The golden vectors of wan21.md section 13.2 on the device of the program.
#include <ATen/TensorOperators.h>

#include "model/tensor.h"
#include "model/text/umt5.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"

namespace ferry::model {
namespace {

class Umt5Golden : public testing::DeviceTest {
 protected:
  // The context of the section's six ids, on the host.
  at::Tensor encode(DType compute) {
    const Umt5Config tiny = {
        .vocab = 100, .dim = 64, .attn_dim = 64, .ffn_dim = 128, .heads = 4, .layers = 2, .text_len = 20};
    const NetworkSpec spec = umt5_spec(tiny, compute);
    std::vector<std::pair<std::string, std::vector<std::int64_t>>> keys;
    for (const auto* tensor : testing::all_tensors(spec)) keys.emplace_back(tensor->key, tensor->shape);
    const auto filled = testing::golden_fill(keys);
    const TorchStream on(device());
    testing::PlainWeights weights(
        spec, [&](const TensorSpec& tensor) { return filled.at(tensor.key); }, torch_device(device()));
    const std::vector<std::vector<std::int64_t>> prompts = {{5, 17, 99, 3, 42, 1}};
    Umt5Encoder encoder(tiny, weights, {.device = &device(), .compute = compute});
    const at::Tensor context = encoder.encode(prompts).front();
    device().compute().synchronize();
    return context.cpu();
  }
};

void expect_values(const at::Tensor& found, const std::vector<double>& wanted, double tolerance) {
  const at::Tensor flat = found.to(at::kDouble).flatten();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(flat[static_cast<std::int64_t>(i)].item<double>(), wanted[i], tolerance) << "at " << i;
  }
}

TEST_F(Umt5Golden, ContextInFp32Matches) {
  const at::Tensor out = encode(DType::F32);
  ASSERT_EQ(out.sizes(), at::IntArrayRef({6, 64}));
  EXPECT_EQ(out.scalar_type(), at::kFloat);
  // Printed with seven digits by the reference, which ran with an fp64 softmax and 14 masked rows.
  expect_values(out, {-1.344137, 0.5380598, 1.238067, 0.8047979, 0.963227, 0.840001}, 2e-5);
  expect_values(out.flatten().slice(0, -3), {0.6199833, -0.1004236, -1.623171}, 2e-5);
  EXPECT_NEAR(out.norm().item<double>(), 20.158198, 2e-4);
}

TEST_F(Umt5Golden, ContextInBf16Matches) {
  const at::Tensor out = encode(DType::BF16);
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  // A few units in the last place (2^-8 of the value) for another backend's GEMM rounding.
  const double few = 4 * 0.0078125;
  expect_values(out, {-1.335938, 0.5429688, 1.234375, 0.7890625, 0.96875, 0.8515625}, few);
  expect_values(out.flatten().slice(0, -3), {0.6210938, -0.09228516, -1.632812}, few);
  EXPECT_NEAR(out.to(at::kFloat).norm().item<double>(), 20.15507, 0.02);
}

}  // namespace
}  // namespace ferry::model
