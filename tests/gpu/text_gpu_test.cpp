// umT5 and the samplers on a GPU against the CPU.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/sampler/sampler.h"
#include "model/tensor.h"
#include "model/text/umt5.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"

namespace ferry::model {
namespace {

using testing::PlainWeights;

class TextGpu : public testing::DeviceTest {};

Umt5Config small() {
  return {.vocab = 200, .dim = 128, .attn_dim = 192, .ffn_dim = 320, .heads = 3, .layers = 3, .text_len = 64};
}

at::Tensor encode(const std::vector<std::int64_t>& ids, Device& device, DType compute) {
  const NetworkSpec spec = umt5_spec(small(), compute);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> keys;
  for (const auto* tensor : testing::all_tensors(spec)) keys.emplace_back(tensor->key, tensor->shape);
  const auto filled = testing::golden_fill(keys);
  PlainWeights weights(
      spec, [&](const TensorSpec& tensor) { return filled.at(tensor.key); }, torch_device(device));
  Umt5Encoder encoder(small(), weights, {.device = &device, .compute = compute});
  const std::vector<std::vector<std::int64_t>> prompts = {ids};
  const at::Tensor context = encoder.encode(prompts).front();
  device.compute().synchronize();
  return context.to(at::kCPU).to(at::kFloat);
}

double relative(const at::Tensor& found, const at::Tensor& wanted) {
  return (found - wanted).norm().item<double>() / wanted.norm().item<double>();
}

TEST_F(TextGpu, EncoderAgreesWithTheCpu) {
  const auto cpu = make_cpu_device();
  for (const std::vector<std::int64_t>& ids :
       {std::vector<std::int64_t>{5, 17, 199, 3, 42, 1}, std::vector<std::int64_t>(64, 7),
        std::vector<std::int64_t>{1}}) {
    // fp32: summation order only.  bf16: a few roundings per layer (2^-9 each) that fall the other way.
    EXPECT_LT(relative(encode(ids, device(), DType::F32), encode(ids, *cpu, DType::F32)), 1e-5);
    EXPECT_LT(relative(encode(ids, device(), DType::BF16), encode(ids, *cpu, DType::BF16)), 2e-2);
  }
}

TEST_F(TextGpu, SamplersAgreeWithTheCpu) {
  const TorchStream stream(device());
  const at::Device gpu = torch_device(device());
  for (const char* name : {"unipc", "dpm++", "euler", "step_distill"}) {
    Sampler on_cpu = make_sampler(name, 10, 5);
    Sampler on_gpu = make_sampler(name, 10, 5);
    at::Tensor x = testing::golden_input({16, 3, 8, 9}, 0.1, 0.37);
    at::Tensor y = x.to(gpu);
    for (int i = 0; i < 10; ++i) {
      const at::Tensor v = testing::golden_input({16, 3, 8, 9}, 0.2 * i, 0.11 + 0.01 * i);
      x = on_cpu.step(i, x, v);
      y = on_gpu.step(i, y, v.to(gpu));
    }
    EXPECT_LT(relative(y.to(at::kCPU), x), 1e-6)
        << name;  // the same fp32 operations; fused multiplies differ
  }
}

}  // namespace
}  // namespace ferry::model
