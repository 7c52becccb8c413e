// The decoder's parts: the norm kernel, the convolutions over frames, and the memory pool.
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "base/device.h"
#include "model/kernels/vae_norm.h"
#include "model/tensor.h"
#include "model/vae/conv.h"
#include "model/vae/host_pool.h"
#include "tests/support/plain_weights.h"

namespace ferry::testing {
namespace {

using namespace model::vae;

at::Tensor norm_reference(const at::Tensor& x, const at::Tensor& gamma, bool silu) {
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor length = at::linalg_vector_norm(wide, 2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  const at::Tensor y = wide / length * std::sqrt(static_cast<double>(x.size(1))) * gamma.to(at::kDouble);
  return silu ? at::silu(y) : y;
}

at::Tensor norm_kernel(const at::Tensor& x, const at::Tensor& gamma, at::ScalarType to, bool silu) {
  const auto device = make_cpu_device();
  at::Tensor y = at::empty(x.sizes(), x.options().dtype(to));
  model::kernels::vae_norm({.x = x.const_data_ptr(),
                            .y = y.mutable_data_ptr(),
                            .x_type = model::dtype_of(x),
                            .y_type = model::dtype_of(y),
                            .gamma = gamma.const_data_ptr<float>(),
                            .pixels = x.size(0),
                            .channels = x.size(1),
                            .silu = silu},
                           device->compute());
  return y;
}

double largest_error(const at::Tensor& actual, const at::Tensor& wanted) {
  const at::Tensor wide = wanted.to(at::kDouble);
  return ((actual.to(at::kDouble) - wide).abs() / (wide.abs() + 1e-3)).max().item<double>();
}

class VaeNormChannels : public ::testing::TestWithParam<int64_t> {};

// fp32: a sum of up to 1,024 squares and an exponential of 2 ulp.  bf16: one rounding, 2^-8.
TEST_P(VaeNormChannels, AgreesWithAPlainReference) {
  const int64_t channels = GetParam();
  const at::Tensor x = golden_input({37, channels}, 0.3, 0.71) * 20.0;
  const at::Tensor gamma = golden_input({channels}, 1.1, 0.3) + 1.0;
  for (const bool silu : {true, false}) {
    const at::Tensor wanted = norm_reference(x, gamma, silu);
    EXPECT_LT(largest_error(norm_kernel(x, gamma, at::kFloat, silu), wanted), 2e-6);
    const at::Tensor narrow = x.to(at::kBFloat16);
    const at::Tensor wanted_narrow = norm_reference(narrow, gamma, silu);
    EXPECT_LT(largest_error(norm_kernel(narrow, gamma, at::kFloat, silu), wanted_narrow), 2e-6);
    EXPECT_LT(largest_error(norm_kernel(narrow, gamma, at::kBFloat16, silu), wanted_narrow), 1.01 / 256);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, VaeNormChannels,
                         ::testing::Values(1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 96, 97, 384, 1024));

TEST(VaeNorm, AZeroPixelStaysZeroAndLargeValuesStayFinite) {
  const at::Tensor gamma = at::full({7}, 100.0, at::kFloat);
  EXPECT_EQ(norm_kernel(at::full({3, 7}, 0.0, at::kFloat), gamma, at::kFloat, true).abs().max().item<float>(),
            0);
  const at::Tensor low = norm_kernel(at::full({3, 7}, -1e9, at::kFloat), gamma, at::kFloat, true);
  EXPECT_TRUE(low.isfinite().all().item<bool>());
  EXPECT_NEAR(low.abs().max().item<float>(), 0, 1e-30);
  const at::Tensor high = norm_kernel(at::full({3, 7}, 1e9, at::kFloat), gamma, at::kFloat, true);
  EXPECT_NEAR(high[0][0].item<float>(), 100, 1e-3);
}

TEST(VaeNorm, RefusesOtherTypes) {
  const at::Tensor x = golden_input({2, 4}, 0, 1).to(at::kHalf);
  EXPECT_THROW(norm_kernel(x, golden_input({4}, 0, 1), at::kFloat, true), std::invalid_argument);
}

at::Tensor last_channels(const at::Tensor& x) {
  return x.contiguous(x.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast);
}

Filter filter(std::vector<int64_t> shape) {
  const int64_t out = shape[0];
  return {last_channels(golden_input(std::move(shape), 0.5, 0.93) * 0.1), golden_input({out}, 0.2, 0.4)};
}

at::Tensor frames_of(const at::Tensor& planar) { return planar.permute({0, 2, 3, 1}).contiguous(); }

TEST(VaeConv, DoublingAndConvolvingEqualsDoingBothAfterEachOther) {
  for (const auto& [t, h, w, in, out] : std::vector<std::array<int64_t, 5>>{
           {2, 3, 5, 8, 4}, {1, 1, 1, 3, 5}, {3, 2, 1, 6, 1}, {1, 4, 7, 1, 2}}) {
    const Filter both = filter({out, in, 3, 3});
    const at::Tensor x = golden_input({t, in, h, w}, 0.9, 0.61);
    const at::Tensor wanted =
        frames_of(at::conv2d(at::upsample_nearest2d(x, {2 * h, 2 * w}), both.weight, both.bias, 1, 1));
    // Every second frame of a longer clip, as the decoder uses it.
    const at::Tensor clip = at::full({t, 2, 2 * h, 2 * w, out}, 7.0, at::kFloat);
    double_and_conv(frames_of(x), both, clip.select(1, 1));
    EXPECT_LT((clip.select(1, 1) - wanted).abs().max().item<float>(), 1e-5);
    EXPECT_EQ((clip.select(1, 0) - 7.0).abs().max().item<float>(), 0);
  }
}

TEST(VaeConv, AConvolutionInTimeAgreesWithConv3d) {
  for (const auto& kernel : {std::vector<int64_t>{5, 3, 3, 3, 3}, {4, 3, 3, 1, 1}}) {
    const Filter both = filter(kernel);
    const at::Tensor x = golden_input({1, 3, 6, 4, 5}, 0.1, 0.77);
    const at::Tensor wanted =
        at::conv3d(x, both.weight.contiguous(), both.bias, 1, {0, kernel[3] / 2, kernel[4] / 2});
    const at::Tensor actual = conv_in_time(frames_of(x[0].transpose(0, 1)), both);
    EXPECT_LT((actual - frames_of(wanted[0].transpose(0, 1))).abs().max().item<float>(), 1e-5);
  }
}

TEST(VaeConv, OneFrameBehindZerosMeetsTheLastTapAlone) {
  const Filter both = filter({5, 4, 3, 3, 3});
  const at::Tensor buffer = at::full({3, 3, 4, 4}, 0.0, at::kFloat);
  buffer[2].copy_(golden_input({3, 4, 4}, 0.1, 0.77));
  const at::Tensor whole = conv_in_time(buffer, both);
  const at::Tensor last = conv_in_space(buffer.narrow(0, 2, 1), tap(both, 2), 1);
  EXPECT_LT((whole - last).abs().max().item<float>(), 1e-6);
}

at::Tensor large() { return at::empty({1 << 20}, at::kFloat); }

TEST(HostPool, ReusesTheBlockOfAFreedTensor) {
  const HostPool pool;
  const void* first = large().data_ptr();
  EXPECT_EQ(large().data_ptr(), first);
  EXPECT_EQ(at::empty({1 << 19}, at::kFloat).data_ptr(), first) << "a smaller tensor fits too";
  const at::Tensor held = large();
  EXPECT_NE(large().data_ptr(), held.data_ptr());
}

// Three in a row, the middle one and then its neighbours freed: a tensor as large as all three fits in again.
TEST(HostPool, FreedNeighboursBecomeOnePlace) {
  const HostPool pool;
  at::Tensor a = large();
  at::Tensor b = large();
  at::Tensor c = large();
  const at::Tensor after = large();
  const void* first = a.data_ptr();
  b.reset();
  c.reset();
  a.reset();
  EXPECT_EQ(at::empty({3 << 20}, at::kFloat).data_ptr(), first);
}

TEST(HostPool, TensorsOutliveItAndMayGrow) {
  at::Tensor kept;
  at::Tensor small;
  {
    const HostPool pool;
    kept = large();
    small = at::empty({4}, at::kFloat);
    kept.fill_(3.0);
    small.fill_(5.0);
  }
  EXPECT_EQ(kept[(1 << 20) - 1].item<float>(), 3.0F);
  kept.resize_({1 << 21}).fill_(4.0);
  small.resize_({1 << 20});
  EXPECT_EQ(small[3].item<float>(), 5.0F);
  EXPECT_EQ(kept[1 << 20].item<float>(), 4.0F);
}

TEST(HostPool, AnotherThreadMayFree) {
  const HostPool pool;
  at::Tensor tensor = large();
  const void* data = tensor.data_ptr();
  std::thread([moved = std::move(tensor)]() mutable { moved.reset(); }).join();
  EXPECT_EQ(large().data_ptr(), data);
}

TEST(HostPool, AnInnerOneLeavesTheOuterOneInPlace) {
  const HostPool outer;
  const void* data = large().data_ptr();
  {
    const HostPool inner;
    EXPECT_EQ(large().data_ptr(), data);
  }
  EXPECT_EQ(large().data_ptr(), data);
}

TEST(HostPool, LibTorchsAllocatorIsBackAfterwards) {
  const c10::Allocator* before = c10::GetAllocator(c10::kCPU);
  {
    const HostPool pool;
    EXPECT_NE(c10::GetAllocator(c10::kCPU), before);
  }
  EXPECT_EQ(c10::GetAllocator(c10::kCPU), before);
}

}  // namespace
}  // namespace ferry::testing
