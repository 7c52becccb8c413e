// The CPU kernels of model/kernels against LibTorch's own operations, over odd shapes.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "model/kernels/attention.h"
#include "model/kernels/finite.h"
#include "model/kernels/gate_residual.h"
#include "model/kernels/gelu.h"
#include "model/kernels/heads.h"
#include "model/kernels/layer_norm.h"
#include "model/kernels/patch.h"
#include "model/kernels/rms_norm_rope.h"
#include "model/tensor.h"
#include "tests/support/head_order.h"

namespace ferry::model::kernels {
namespace {

using at::Tensor;
using testing::data_of;
using testing::head_places;
using testing::packed;

class Kernels : public ::testing::Test {
 protected:
  Stream& stream() { return device_->compute(); }
  std::unique_ptr<Device> device_ = make_cpu_device();
};

// One bf16 unit in the last place of the larger value, plus what fp32 sums in another order may move.
void expect_close(const Tensor& value, const Tensor& reference, const std::string& what) {
  ASSERT_EQ(value.sizes(), reference.sizes()) << what;
  const double ulp = value.scalar_type() == at::kBFloat16 ? 1.0 / 128 : 0.0;
  const Tensor v = value.to(at::kDouble);
  const Tensor r = reference.to(at::kDouble);
  const double worst = ((v - r).abs() - r.abs() * (ulp + 2e-6)).max().item<double>();
  EXPECT_LT(worst, 2e-6) << what;
}

struct Shape {
  std::int64_t rows;
  std::int64_t dim;
};
const std::vector<Shape> kShapes = {{1, 1}, {3, 7}, {5, 16}, {7, 33}, {2, 192}, {129, 250}, {65, 1536}};
const std::vector<DType> kTypes = {DType::F32, DType::BF16};

std::string name(const Shape& s, DType a, DType b) {
  return std::to_string(s.rows) + "x" + std::to_string(s.dim) + " " + std::string(name_of(a)) + " " +
         std::string(name_of(b));
}

struct NormInputs {
  explicit NormInputs(const Shape& s)
      : x(at::randn({s.rows, s.dim}) * 3 + 1.5), scale(at::randn({s.dim})), shift(at::randn({s.dim})) {}
  LayerNorm args(const Tensor& out) const {
    return {.x = x.data_ptr<float>(),
            .scale = scale.data_ptr<float>(),
            .shift = shift.data_ptr<float>(),
            .out = out.data_ptr(),
            .out_type = dtype_of(out),
            .rows = x.size(0),
            .dim = x.size(1)};
  }
  Tensor x, scale, shift;
};

TEST_F(Kernels, LayerNormModulate) {
  for (const Shape& s : kShapes) {
    for (const DType norm_type : kTypes) {
      for (const DType out_type : kTypes) {
        const NormInputs in(s);
        const Tensor out = at::empty({s.rows, s.dim}, scalar_type(out_type));
        LayerNorm args = in.args(out);
        args.norm_type = norm_type;
        layer_norm_modulate(args, stream());
        const Tensor norm =
            at::layer_norm(in.x, {s.dim}, {}, {}, 1e-6).to(scalar_type(norm_type)).to(at::kFloat);
        const Tensor reference = (norm * (in.scale + 1.0) + in.shift).to(out.scalar_type());
        if (norm_type == DType::BF16) {
          // A last bit of LN(x) that differs is multiplied by 1 + scale.
          const double close =
              ((out - reference).abs() <= (reference.abs() + 1) * 1e-5).to(at::kDouble).mean().item<double>();
          EXPECT_GE(close, 0.97 - 1.0 / static_cast<double>(out.numel())) << name(s, norm_type, out_type);
        } else {
          expect_close(out, reference, name(s, norm_type, out_type));
        }
      }
    }
  }
}

TEST_F(Kernels, LayerNormAffineAlsoInPlace) {
  for (const Shape& s : kShapes) {
    for (const DType out_type : kTypes) {
      const NormInputs in(s);
      const Tensor reference = at::layer_norm(in.x, {s.dim}, in.scale, in.shift, 1e-6);
      const Tensor out = out_type == DType::F32 ? in.x : at::empty({s.rows, s.dim}, at::kBFloat16);
      layer_norm_affine(in.args(out), stream());
      expect_close(out, reference.to(out.scalar_type()), name(s, DType::F32, out_type));
    }
  }
}

// The addition on the way to a norm: x and the result have the bits of one after the other.
TEST_F(Kernels, LayerNormAfterAnAddition) {
  for (const Shape& s : kShapes) {
    for (const DType y_type : kTypes) {
      for (const bool gated : {true, false}) {
        const NormInputs in(s);
        const Tensor y = at::randn({s.rows, s.dim}).to(scalar_type(y_type));
        const Tensor gate = at::randn({s.dim});
        const Tensor sum = gated ? in.x + y.to(at::kFloat) * gate : in.x + y.to(at::kFloat);
        for (const auto norm : {layer_norm_modulate, layer_norm_affine}) {
          const Tensor out = at::empty({s.rows, s.dim}, at::kBFloat16);
          const Tensor expected = at::empty({s.rows, s.dim}, at::kBFloat16);
          const Tensor x = in.x.clone();
          LayerNorm args = in.args(out);
          args.x = x.data_ptr<float>();
          args.y = y.data_ptr();
          args.y_type = y_type;
          args.gate = gated ? gate.data_ptr<float>() : nullptr;
          norm(args, stream());
          LayerNorm after = in.args(expected);
          after.x = sum.data_ptr<float>();
          norm(after, stream());
          EXPECT_TRUE(at::equal(x, sum)) << name(s, DType::F32, y_type);
          EXPECT_TRUE(at::equal(out, expected)) << name(s, DType::F32, y_type);
          if (y_type != DType::BF16) continue;
          x.copy_(in.x);
          const Tensor over = y.clone();
          args.y = args.out = over.data_ptr();
          norm(args, stream());
          EXPECT_TRUE(at::equal(over, expected)) << "in the place of y, " << name(s, DType::F32, y_type);
        }
      }
    }
  }
}

TEST_F(Kernels, GateResidual) {
  for (const Shape& s : kShapes) {
    for (const DType y_type : kTypes) {
      for (const bool gated : {true, false}) {
        const Tensor x = at::randn({s.rows, s.dim});
        const Tensor y = at::randn({s.rows, s.dim}).to(scalar_type(y_type));
        const Tensor gate = at::randn({s.dim});
        const Tensor reference = gated ? x + y.to(at::kFloat) * gate : x + y.to(at::kFloat);
        gate_residual({.x = x.data_ptr<float>(),
                       .y = y.data_ptr(),
                       .y_type = y_type,
                       .gate = gated ? gate.data_ptr<float>() : nullptr,
                       .out = x.data_ptr<float>(),
                       .rows = s.rows,
                       .dim = s.dim},
                      stream());
        EXPECT_TRUE(at::equal(x, reference)) << name(s, DType::F32, y_type);  // two roundings, the same two
      }
    }
  }
}

// One word of three stands between two others, which stay as they were.
TEST_F(Kernels, OneValueThatIsNotFiniteIsFoundWhereverItStands) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const DType type : kTypes) {
    for (const std::int64_t count : {1, 7, 4096, 4097, 100003}) {
      const Tensor x = (at::randn({count}) * 1e30).to(scalar_type(type));
      std::array<std::uint32_t, 3> flags = {7, 0, 7};
      flag_not_finite(x.data_ptr(), type, count, &flags[1], stream());
      EXPECT_EQ(flags, (std::array<std::uint32_t, 3>{7, 0, 7})) << count;
      for (const std::int64_t at : {std::int64_t{0}, count / 2, count - 1}) {
        for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
          const Tensor y = x.clone();
          y[at] = bad;
          flags[1] = 0;
          flag_not_finite(y.data_ptr(), type, count, &flags[1], stream());
          EXPECT_EQ(flags, (std::array<std::uint32_t, 3>{7, 1, 7})) << at << " of " << count << " " << bad;
        }
      }
    }
  }
}

TEST_F(Kernels, TheLargestAndTheSmallestValuesAreFinite) {
  using Limits = std::numeric_limits<float>;
  std::array<float, 6> values = {Limits::max(), Limits::lowest(), Limits::min(), Limits::denorm_min(), 0,
                                 -0.0F};
  std::uint32_t flag = 0;
  flag_not_finite(values.data(), DType::F32, values.size(), &flag, stream());
  std::array<std::uint16_t, 4> narrow = {0x7f7f, 0xff7f, 0x0001, 0x8000};
  flag_not_finite(narrow.data(), DType::BF16, narrow.size(), &flag, stream());
  flag_not_finite(nullptr, DType::F32, 0, &flag, stream());
  EXPECT_EQ(flag, 0U);
}

TEST_F(Kernels, AFlagThatIsSetStaysSet) {
  const float value = 1;
  std::uint32_t flag = 1;
  flag_not_finite(&value, DType::F32, 1, &flag, stream());
  EXPECT_EQ(flag, 1U);
}

TEST_F(Kernels, GeluTanh) {
  for (const DType dtype : kTypes) {
    for (const std::int64_t count : {1, 15, 4097, 100003}) {
      const Tensor x = (at::linspace(-12, 12, count) + at::randn({count}) * 0.01).to(scalar_type(dtype));
      // In fp64: LibTorch's fp32 version loses digits where 1 + tanh cancels.
      const Tensor reference = at::gelu(x.to(at::kDouble), "tanh").to(x.scalar_type());
      gelu_tanh(x.data_ptr(), dtype, count, stream());
      expect_close(x, reference, std::to_string(count));
    }
  }
}

TEST_F(Kernels, GeluTanhAtTheEndsOfTheRange) {
  const float big = 3e38F;
  const float inf = std::numeric_limits<float>::infinity();
  float values[] = {0.0F, 100.0F, -100.0F, big, -big, inf, std::nanf("")};
  gelu_tanh(values, DType::F32, 7, stream());
  EXPECT_EQ(values[0], 0.0F);
  EXPECT_EQ(values[1], 100.0F);
  EXPECT_NEAR(values[2], 0.0F, 1e-30);
  EXPECT_EQ(values[3], big);
  EXPECT_NEAR(values[4] / big, 0.0F, 1e-37);  // nothing beside its input
  EXPECT_EQ(values[5], inf);
  EXPECT_TRUE(std::isnan(values[6]));
}

struct HeadShape {
  std::int64_t tokens, rotated, heads, head_dim;
  std::vector<std::int64_t> widths;  // of the pieces; one: no exchange
};
const std::vector<HeadShape> kHeadShapes = {
    {1, 1, 1, 2, {1}},      {7, 5, 4, 6, {2, 2}},  {5, 5, 4, 20, {1, 1, 1, 1}},
    {13, 0, 3, 48, {2, 1}}, {9, 9, 12, 128, {12}}, {33, 31, 12, 128, {3, 3, 2, 2, 2}},
    {70, 64, 4, 48, {4}},   {3, 2, 2, 34, {1, 1}}, {6, 6, 7, 10, {2, 1, 1, 1, 1, 1}}};

Tensor reference_norm_rope(const HeadShape& s, const Tensor& z, const Tensor& weight, const Tensor& rope) {
  const Tensor f = z.to(at::kFloat);
  const Tensor unit = f * at::rsqrt(at::pow(f, 2).mean(-1, true) + 1e-6);
  const Tensor normed =
      (unit.to(z.scalar_type()).to(at::kFloat) * weight).view({s.tokens, s.heads, s.head_dim});
  Tensor out = normed.clone();
  if (s.rotated > 0) {
    const Tensor head = normed.narrow(0, 0, s.rotated).view({s.rotated, s.heads, -1, 2});
    const Tensor a = head.select(-1, 0);
    const Tensor b = head.select(-1, 1);
    const Tensor cos = rope.select(1, 0).unsqueeze(1);
    const Tensor sin = rope.select(1, 1).unsqueeze(1);
    out.narrow(0, 0, s.rotated).copy_(at::stack({a * cos - b * sin, a * sin + b * cos}, -1).flatten(2));
  }
  return packed(out.to(z.scalar_type()), s.widths);
}

TEST_F(Kernels, RmsNormRope) {
  for (const HeadShape& s : kHeadShapes) {
    for (const DType dtype : kTypes) {
      const std::int64_t dim = s.heads * s.head_dim;
      const Tensor z = (at::randn({s.tokens, dim}) * 2).to(scalar_type(dtype));
      const Tensor weight = at::randn({dim});
      const Tensor angle = at::randn({s.rotated, s.head_dim / 2}) * 10;
      const Tensor rope = at::stack({angle.cos(), angle.sin()}, 1).contiguous();
      const Tensor reference = reference_norm_rope(s, z, weight, rope);
      const bool in_place = s.widths.size() == 1;
      const Tensor out = in_place ? z : at::empty_like(z);
      const Tensor places = head_places(s.widths);
      rms_norm_rope({.in = z.data_ptr(),
                     .out = out.data_ptr(),
                     .dtype = dtype,
                     .weight = weight.data_ptr<float>(),
                     .rope = s.rotated == 0 ? nullptr : rope.data_ptr<float>(),
                     .places = in_place ? nullptr : data_of(places),
                     .tokens = s.tokens,
                     .rotated = s.rotated,
                     .heads = s.heads,
                     .head_dim = s.head_dim},
                    stream());
      const std::string what =
          "tokens " + std::to_string(s.tokens) + " head_dim " + std::to_string(s.head_dim);
      if (dtype == DType::F32) {
        expect_close(out.view_as(reference), reference, what);
      } else {
        // A differing last bit before the rotation moves both elements of a pair, by up to one unit of the
        // larger: compare as pairs' lengths instead.
        const double differing = (out.view_as(reference) != reference).to(at::kDouble).mean().item<double>();
        EXPECT_LE(differing, 0.01 + 2.0 / static_cast<double>(out.numel())) << what;
      }
    }
  }
}

TEST_F(Kernels, PackHeadsWritesDestinationMajorAndUnpackHeadsInverts) {
  for (const HeadShape& s : kHeadShapes) {
    for (const DType dtype : kTypes) {
      const Tensor x = at::randn({s.tokens, s.heads, s.head_dim}).to(scalar_type(dtype));
      const Tensor out = at::empty_like(x);
      const Tensor back = at::empty_like(x);
      const Tensor places = head_places(s.widths);
      Heads args = {.in = x.data_ptr(),
                    .out = out.data_ptr(),
                    .places = s.widths.size() == 1 ? nullptr : data_of(places),
                    .tokens = s.tokens,
                    .heads = s.heads,
                    .head_bytes = s.head_dim * x.element_size()};
      pack_heads(args, stream());
      EXPECT_TRUE(at::equal(out, packed(x, s.widths)));
      args.in = out.data_ptr();
      args.out = back.data_ptr();
      unpack_heads(args, stream());
      EXPECT_TRUE(at::equal(back, x));
      if (s.widths.size() == 1) continue;

      // The piece of the second rank lies elsewhere, and what is in its place is not read.
      const std::int64_t piece = s.tokens * s.widths[1] * s.head_dim;
      const Tensor gap = out.view(-1).narrow(0, s.tokens * s.widths[0] * s.head_dim, piece);
      const Tensor own = gap.clone();
      gap.fill_(-1);
      args.own = own.data_ptr();
      args.own_before = s.widths[0];
      back.zero_();
      unpack_heads(args, stream());
      EXPECT_TRUE(at::equal(back, x));
    }
  }
}

TEST_F(Kernels, APieceOfItsOwnNeedsPlaces) {
  const float own = 0;
  EXPECT_THROW(unpack_heads({.own = &own, .tokens = 1, .heads = 1, .head_bytes = 4}, stream()),
               std::invalid_argument);
}

TEST_F(Kernels, HeadsOfOddBytesAreRefused) {
  EXPECT_THROW(pack_heads({.tokens = 1, .heads = 1, .head_bytes = 6}, stream()), std::invalid_argument);
}

TEST_F(Kernels, PatchifyCutsChannelMajorAndUnpatchifyJoinsChannelMinor) {
  for (const Grid& grid : {Grid{1, 1, 1}, Grid{3, 5, 7}, Grid{2, 4, 1}}) {
    for (const DType dtype : kTypes) {
      const std::int64_t channels = 5;
      const Tensor latent = at::randn({channels, grid.frames, grid.rows * 2, grid.cols * 2});
      const Tensor cut = latent.view({channels, grid.frames, grid.rows, 2, grid.cols, 2});
      const Tensor reference = cut.permute({1, 2, 4, 0, 3, 5}).reshape({grid.tokens(), channels * 4});
      const std::int64_t first = grid.tokens() / 3;
      const std::int64_t count = grid.tokens() - first;
      const Tensor out = at::empty({count, channels * 4}, scalar_type(dtype));
      patchify({.latent = latent.data_ptr<float>(),
                .out = out.data_ptr(),
                .out_type = dtype,
                .grid = grid,
                .channels = channels,
                .first = first,
                .count = count},
               stream());
      EXPECT_TRUE(at::equal(out, reference.narrow(0, first, count).to(out.scalar_type())));

      const Tensor tokens =
          cut.permute({1, 2, 4, 3, 5, 0}).reshape({grid.tokens(), 4 * channels}).contiguous();
      const Tensor joined = at::empty_like(latent);
      unpatchify({.tokens = tokens.data_ptr<float>(),
                  .latent = joined.data_ptr<float>(),
                  .grid = grid,
                  .channels = channels},
                 stream());
      EXPECT_TRUE(at::equal(joined, latent));
    }
  }
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Rows of attention whose values are not all finite, [heads, queries].
Tensor rows_not_finite(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t head_dim) {
  const Tensor out = Attention()(q, k, v, head_dim).to(at::kFloat);
  return ((out - out) == 0).logical_not().view({q.size(0), -1, head_dim}).any(2).t();
}

struct AttentionInputs {
  AttentionInputs(std::int64_t queries, std::int64_t keys, std::int64_t head_dim, at::ScalarType type)
      : q(at::randn({queries, 2 * head_dim}).to(type)),
        k(at::randn({keys, 2 * head_dim}).to(type)),
        v(at::randn({keys, 2 * head_dim}).to(type)) {}
  Tensor q, k, v;
};

// A vector of LibTorch's has 8 or 16 elements; more than 512 keys are taken in parts.
std::vector<std::int64_t> key_counts() {
  std::vector<std::int64_t> counts = {64, 100, 512, 513, 1024, 1100};
  for (std::int64_t keys = 1; keys <= 40; ++keys) counts.push_back(keys);
  return counts;
}

TEST(AttentionOnTheCpu, WhatIsNotFiniteInQComesOutInItsRows) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t head_dim : {24, 48, 128}) {
      for (const std::int64_t keys : key_counts()) {
        for (const float bad : {kNan, kInf, -kInf}) {
          const AttentionInputs in(5, keys, head_dim, type);
          in.q[3][head_dim + 1] = bad;  // of the second head
          Tensor wanted = at::zeros({2, 5}, at::kBool);
          wanted[1][3] = true;
          EXPECT_TRUE(at::equal(rows_not_finite(in.q, in.k, in.v, head_dim), wanted))
              << bad << " in " << type << ", " << keys << " keys of " << head_dim;
        }
      }
    }
  }
}

TEST(AttentionOnTheCpu, NanInKComesOutInEveryRowOfItsHead) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t head_dim : {24, 48, 128}) {
      for (const std::int64_t keys : key_counts()) {
        for (const bool every_key : {false, true}) {
          const AttentionInputs in(5, keys, head_dim, type);
          in.k.narrow(0, every_key ? 0 : keys / 2, every_key ? keys : 1).select(1, head_dim + 1).fill_(kNan);
          const Tensor bad = rows_not_finite(in.q, in.k, in.v, head_dim);
          EXPECT_TRUE(bad[1].all().item<bool>()) << type << ", " << keys << " keys of " << head_dim;
          EXPECT_FALSE(bad[0].any().item<bool>()) << type << ", " << keys << " keys of " << head_dim;
        }
      }
    }
  }
}

// A row's sum of exactly 1 looks like that of a row without keys.
TEST(AttentionOnTheCpu, ARowOfOneKeyIsItsValue) {
  const AttentionInputs in(3, 1, 24, at::kFloat);
  in.q.zero_();
  EXPECT_TRUE(at::equal(Attention()(in.q, in.k, in.v, 24), in.v.expand({3, -1})));
}

TEST_F(Kernels, OtherTypesAreRefused) {
  float x = 0;
  EXPECT_THROW(gelu_tanh(&x, DType::F16, 1, stream()), std::invalid_argument);
  std::uint32_t flag = 0;
  EXPECT_THROW(flag_not_finite(&x, DType::F16, 1, &flag, stream()), std::invalid_argument);
  EXPECT_THROW(layer_norm_affine({.x = &x, .out = &x, .out_type = DType::F64, .rows = 1, .dim = 1}, stream()),
               std::invalid_argument);
}

}  // namespace
}  // namespace ferry::model::kernels
