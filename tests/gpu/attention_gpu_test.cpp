// Attention kernels on a GPU against fp64, at the shapes of self- and cross-attention.
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/kernels/fa3.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"

namespace ferry::testing {
namespace {

using model::kernels::Attention;
using model::kernels::AttentionImpl;

class AttentionGpu : public DeviceTest {};

struct Shape {
  std::int64_t queries, keys, heads, head_dim;
};

at::Tensor heads_first(const at::Tensor& x, std::int64_t head_dim) {
  return x.view({1, x.size(0), -1, head_dim}).transpose(1, 2);
}

// Relative L2 against fp64 of the same bf16 inputs.  Rounding the result alone is 1.7e-3.
double error_of(const Attention& attention, const Shape& shape, Device& device) {
  const model::TorchStream stream(device);
  const auto options = at::TensorOptions(model::torch_device(device)).dtype(at::kBFloat16);
  const std::int64_t width = shape.heads * shape.head_dim;
  const at::Tensor q = at::randn({shape.queries, width}, options);
  const at::Tensor k = at::randn({shape.keys, width}, options);
  const at::Tensor v = at::randn({shape.keys, width}, options);
  const at::Tensor found = attention(q, k, v, shape.head_dim);
  const auto exact = [&](const at::Tensor& x) { return heads_first(x.to(at::kDouble), shape.head_dim); };
  const at::Tensor wanted =
      at::scaled_dot_product_attention(exact(q), exact(k), exact(v)).transpose(1, 2).reshape(q.sizes());
  EXPECT_EQ(found.sizes(), q.sizes());
  EXPECT_TRUE(found.is_contiguous());
  return ((found.to(at::kDouble) - wanted).norm() / wanted.norm()).item<double>();
}

const Shape kShapes[] = {
    {700, 1111, 2, 128}, {512, 512, 12, 128}, {1, 3, 1, 128}, {333, 512, 5, 64}, {129, 257, 3, 24}};

TEST_F(AttentionGpu, KernelsOfLibTorchAgreeWithFp64) {
  for (const AttentionImpl impl :
       {AttentionImpl::Auto, AttentionImpl::CuDnn, AttentionImpl::Flash, AttentionImpl::Math}) {
    for (const Shape& shape : kShapes) {
      EXPECT_LT(error_of(Attention(impl), shape, device()), 5e-3) << name_of(impl) << " " << shape.queries;
    }
  }
}

TEST_F(AttentionGpu, Fa3AgreesWithFp64) {
  if (!model::kernels::takes_fa3(device())) GTEST_SKIP() << "no GPU of compute capability 9";
  if (model::kernels::find_fa3().empty()) GTEST_SKIP() << "fa3-fwd is not beside LibTorch";
  const Attention fa3 = model::kernels::load_fa3(model::kernels::find_fa3(), device());
  for (const Shape& shape : kShapes) {
    EXPECT_LT(error_of(fa3, shape, device()), 5e-3) << shape.queries << " " << shape.head_dim;
  }
}

TEST_F(AttentionGpu, WhatIsNoFa3IsRefused) {
  if (!model::kernels::takes_fa3(device())) GTEST_SKIP() << "no GPU of compute capability 9";
  EXPECT_THROW(model::kernels::load_fa3("", device()), UserError);
  EXPECT_THROW(model::kernels::load_fa3("/no/such/file.so", device()), UserError);
  EXPECT_THROW(model::kernels::load_fa3("/proc/self/exe", device()), UserError);
}

}  // namespace
}  // namespace ferry::testing
