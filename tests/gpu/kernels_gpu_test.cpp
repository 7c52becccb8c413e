// The CUDA kernels of model/kernels against their CPU versions, over odd shapes.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "model/kernels/finite.h"
#include "model/kernels/gate_residual.h"
#include "model/kernels/gelu.h"
#include "model/kernels/heads.h"
#include "model/kernels/layer_norm.h"
#include "model/kernels/patch.h"
#include "model/kernels/rms_norm_rope.h"
#include "model/kernels/sinusoid.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/support/head_order.h"

namespace ferry::model::kernels {
namespace {

using at::Tensor;

struct Shape {
  std::int64_t rows, dim;
};
const std::vector<Shape> kShapes = {{1, 1}, {3, 7}, {5, 16}, {2, 192}, {129, 250}, {65, 1536}, {33, 5120}};
const std::vector<DType> kTypes = {DType::F32, DType::BF16};

// Each side runs `kernel(tensor -> pointer on its device, stream)`; the tensors made by on() are copies.
class KernelsGpu : public testing::DeviceTest {
 protected:
  Tensor on_gpu(const Tensor& x) { return x.to(torch_device(device())); }
  Stream& gpu() { return device().compute(); }
  Stream& cpu() { return host_->compute(); }

  // fp32 sums in another order move the last bits; in bf16 that flips the rounding of few elements, each by
  // one unit in the last place of the larger operand of a sum.
  void expect_same(const Tensor& from_gpu, const Tensor& reference, const std::string& what) {
    gpu().synchronize();
    const Tensor a = from_gpu.cpu().to(at::kDouble);
    const Tensor b = reference.to(at::kDouble);
    const bool narrow = reference.scalar_type() == at::kBFloat16;
    const double scale = b.abs().max().item<double>() + 1e-30;
    EXPECT_LT((a - b).abs().max().item<double>() / scale, narrow ? 1.0 / 64 : 2e-6) << what;
    if (narrow) {
      const double differing = (a != b).to(at::kDouble).mean().item<double>();
      EXPECT_LE(differing, 0.01 + 2.0 / static_cast<double>(b.numel())) << what;
    }
  }

  std::unique_ptr<Device> host_ = make_cpu_device();
};

std::string name(std::int64_t rows, std::int64_t dim, DType type) {
  return std::to_string(rows) + "x" + std::to_string(dim) + " " + std::string(name_of(type));
}

TEST_F(KernelsGpu, LayerNorm) {
  for (const Shape& s : kShapes) {
    for (const DType type : kTypes) {
      const Tensor x = at::randn({s.rows, s.dim}) * 3 + 1.5;
      const Tensor scale = at::randn({s.dim});
      const Tensor shift = at::randn({s.dim});
      const Tensor out = at::empty_like(x, scalar_type(type));
      const Tensor gx = on_gpu(x), gscale = on_gpu(scale), gshift = on_gpu(shift), gout = on_gpu(out);
      const auto args = [&](const Tensor& in, const Tensor& a, const Tensor& b, const Tensor& to) {
        return LayerNorm{.x = in.data_ptr<float>(),
                         .scale = a.data_ptr<float>(),
                         .shift = b.data_ptr<float>(),
                         .out = to.data_ptr(),
                         .out_type = type,
                         .rows = s.rows,
                         .dim = s.dim};
      };
      layer_norm_modulate(args(x, scale, shift, out), cpu());
      layer_norm_modulate(args(gx, gscale, gshift, gout), gpu());
      expect_same(gout, out, "modulate " + name(s.rows, s.dim, type));
      layer_norm_affine(args(x, scale, shift, out), cpu());
      layer_norm_affine(args(gx, gscale, gshift, gout), gpu());
      expect_same(gout, out, "affine " + name(s.rows, s.dim, type));
    }
  }
}

TEST_F(KernelsGpu, LayerNormOfTheFirstBlockRoundsBeforeItModulates) {
  const Tensor x = at::randn({40, 1536}) * 3;
  const Tensor ones = at::ones_like(x[0]);
  const Tensor out = at::empty_like(x);
  const Tensor gx = on_gpu(x), gones = on_gpu(ones), gout = on_gpu(out);
  const auto args = [&](const Tensor& in, const Tensor& a, const Tensor& to) {
    return LayerNorm{.x = in.data_ptr<float>(),
                     .norm_type = DType::BF16,
                     .scale = a.data_ptr<float>(),
                     .shift = a.data_ptr<float>(),
                     .out = to.data_ptr(),
                     .rows = 40,
                     .dim = 1536};
  };
  layer_norm_modulate(args(x, ones, out), cpu());
  layer_norm_modulate(args(gx, gones, gout), gpu());
  gpu().synchronize();
  EXPECT_LE((gout.cpu() != out).to(at::kDouble).mean().item<double>(), 0.01);
}

// In one kernel where a row fits shared memory, in two beyond that: the bits of one after the other.
TEST_F(KernelsGpu, LayerNormAfterAnAddition) {
  const TorchStream on(device());
  std::vector<Shape> shapes = kShapes;
  shapes.push_back({3, 12800});
  for (const Shape& s : shapes) {
    for (const DType type : kTypes) {
      for (const bool gated : {true, false}) {
        const Tensor x = on_gpu(at::randn({s.rows, s.dim}) * 3 + 1.5);
        const Tensor y = on_gpu(at::randn({s.rows, s.dim}).to(scalar_type(type)));
        const Tensor rows = on_gpu(at::randn({3, s.dim}));  // gate, scale, shift
        const float* gate = gated ? rows[0].data_ptr<float>() : nullptr;
        const auto args = [&](const Tensor& in, const Tensor& to) {
          return LayerNorm{.x = in.data_ptr<float>(),
                           .scale = rows[1].data_ptr<float>(),
                           .shift = rows[2].data_ptr<float>(),
                           .out = to.data_ptr(),
                           .out_type = type,
                           .rows = s.rows,
                           .dim = s.dim};
        };
        for (const auto norm : {layer_norm_modulate, layer_norm_affine}) {
          const Tensor together = x.clone(), apart = x.clone();
          const Tensor out = at::empty_like(y), expected = at::empty_like(y);
          LayerNorm both = args(together, out);
          both.y = y.data_ptr();
          both.y_type = type;
          both.gate = gate;
          norm(both, gpu());
          gate_residual(
              {apart.data_ptr<float>(), y.data_ptr(), type, gate, apart.data_ptr<float>(), s.rows, s.dim},
              gpu());
          norm(args(apart, expected), gpu());
          gpu().synchronize();
          EXPECT_TRUE(together.equal(apart)) << name(s.rows, s.dim, type);
          EXPECT_TRUE(out.equal(expected)) << name(s.rows, s.dim, type);
        }
      }
    }
  }
}

TEST_F(KernelsGpu, GateResidual) {
  for (const Shape& s : kShapes) {
    for (const DType type : kTypes) {
      for (const bool gated : {true, false}) {
        const Tensor x = at::randn({s.rows, s.dim});
        const Tensor y = at::randn({s.rows, s.dim}).to(scalar_type(type));
        const Tensor gate = at::randn({s.dim});
        const Tensor gx = on_gpu(x), gy = on_gpu(y), ggate = on_gpu(gate);
        const auto args = [&](const Tensor& to, const Tensor& add, const Tensor& by) {
          return GateResidual{.x = to.data_ptr<float>(),
                              .y = add.data_ptr(),
                              .y_type = type,
                              .gate = gated ? by.data_ptr<float>() : nullptr,
                              .out = to.data_ptr<float>(),
                              .rows = s.rows,
                              .dim = s.dim};
        };
        gate_residual(args(x, y, gate), cpu());
        gate_residual(args(gx, gy, ggate), gpu());
        expect_same(gx, x, name(s.rows, s.dim, type));
      }
    }
  }
}

TEST_F(KernelsGpu, RmsNormRopeAndHeadOrder) {
  const TorchStream on(device());
  struct HeadShape {
    std::int64_t tokens, rotated, heads, head_dim;
    std::vector<std::int64_t> widths;  // of the pieces; one: no exchange
  };
  const std::vector<HeadShape> shapes = {{1, 1, 1, 2, {1}},           {7, 5, 4, 6, {2, 2}},
                                         {5, 5, 4, 20, {1, 1, 1, 1}}, {13, 0, 3, 48, {2, 1}},
                                         {9, 9, 12, 128, {12}},       {33, 31, 12, 128, {3, 3, 2, 2, 2}},
                                         {70, 64, 4, 48, {4}},        {11, 11, 40, 128, {14, 13, 13}}};
  for (const HeadShape& s : shapes) {
    for (const DType type : kTypes) {
      const std::int64_t dim = s.heads * s.head_dim;
      const Tensor z = (at::randn({s.tokens, dim}) * 2).to(scalar_type(type));
      const Tensor weight = at::randn({dim});
      const Tensor angle = at::randn({s.rotated, s.head_dim / 2}) * 10;
      const Tensor rope = at::stack({angle.cos(), angle.sin()}, 1).contiguous();
      const Tensor out = at::empty_like(z);
      const Tensor gz = on_gpu(z), gweight = on_gpu(weight), grope = on_gpu(rope), gout = on_gpu(out);
      const Tensor places = testing::head_places(s.widths), gplaces = on_gpu(places);
      const auto places_of = [&](const Tensor& in) {
        return s.widths.size() == 1 ? nullptr : testing::data_of(in.is_cpu() ? places : gplaces);
      };
      const auto args = [&](const Tensor& in, const Tensor& to, const Tensor& w, const Tensor& r) {
        return RmsNormRope{.in = in.data_ptr(),
                           .out = to.data_ptr(),
                           .dtype = type,
                           .weight = w.data_ptr<float>(),
                           .rope = s.rotated == 0 ? nullptr : r.data_ptr<float>(),
                           .places = places_of(in),
                           .tokens = s.tokens,
                           .rotated = s.rotated,
                           .heads = s.heads,
                           .head_dim = s.head_dim};
      };
      rms_norm_rope(args(z, out, weight, rope), cpu());
      rms_norm_rope(args(gz, gout, gweight, grope), gpu());
      expect_same(gout, out, "rms_norm_rope " + name(s.tokens, dim, type));

      const auto heads = [&](const Tensor& in, const Tensor& to) {
        return Heads{.in = in.data_ptr(),
                     .out = to.data_ptr(),
                     .places = places_of(in),
                     .tokens = s.tokens,
                     .heads = s.heads,
                     .head_bytes = s.head_dim * in.element_size()};
      };
      pack_heads(heads(z, out), cpu());
      pack_heads(heads(gz, gout), gpu());
      gpu().synchronize();
      EXPECT_TRUE(gout.cpu().equal(out)) << "pack " << name(s.tokens, dim, type);
      const Tensor back = at::empty_like(gz);
      unpack_heads(heads(gout, back), gpu());
      gpu().synchronize();
      EXPECT_TRUE(back.cpu().equal(z)) << "unpack " << name(s.tokens, dim, type);
      if (places_of(gz) == nullptr) continue;
      const std::int64_t before = s.widths[0];
      const Tensor gap =
          gout.view(-1).narrow(0, s.tokens * before * s.head_dim, s.tokens * s.widths[1] * s.head_dim);
      const Tensor own = gap.clone();
      gap.fill_(-1);
      back.zero_();
      Heads apart = heads(gout, back);
      apart.own = own.data_ptr();
      apart.own_before = before;
      unpack_heads(apart, gpu());
      gpu().synchronize();
      EXPECT_TRUE(back.cpu().equal(z)) << "unpack with an own piece " << name(s.tokens, dim, type);
    }
  }
}

TEST_F(KernelsGpu, Patches) {
  for (const Grid& grid : {Grid{1, 1, 1}, Grid{3, 5, 7}, Grid{2, 4, 1}}) {
    for (const DType type : kTypes) {
      const std::int64_t channels = 5;
      const Tensor latent = at::randn({channels, grid.frames, grid.rows * 2, grid.cols * 2});
      const Tensor out = at::empty({grid.tokens(), channels * 4}, scalar_type(type));
      const Tensor glatent = on_gpu(latent), gout = on_gpu(out);
      const auto args = [&](const Tensor& in, const Tensor& to) {
        return Patchify{.latent = in.data_ptr<float>(),
                        .out = to.data_ptr(),
                        .out_type = type,
                        .grid = grid,
                        .channels = channels,
                        .count = grid.tokens()};
      };
      patchify(args(latent, out), cpu());
      patchify(args(glatent, gout), gpu());
      gpu().synchronize();
      EXPECT_TRUE(gout.cpu().equal(out));

      const Tensor tokens = at::randn({grid.tokens(), 4 * channels});
      const Tensor joined = at::empty_like(latent);
      const Tensor gtokens = on_gpu(tokens), gjoined = on_gpu(joined);
      unpatchify({tokens.data_ptr<float>(), joined.data_ptr<float>(), grid, channels}, cpu());
      unpatchify({gtokens.data_ptr<float>(), gjoined.data_ptr<float>(), grid, channels}, gpu());
      gpu().synchronize();
      EXPECT_TRUE(gjoined.cpu().equal(joined));
    }
  }
}

// Offset 1 leaves no vector loads.
TEST_F(KernelsGpu, OneValueThatIsNotFiniteIsFoundWhereverItStands) {
  const TorchStream on(device());
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Tensor flag = on_gpu(at::zeros({1}, at::kInt));
  const auto found = [&](const Tensor& x, DType type) {
    flag.zero_();
    flag_not_finite(x.data_ptr(), type, x.numel(), reinterpret_cast<std::uint32_t*>(flag.data_ptr()), gpu());
    gpu().synchronize();
    return flag.cpu().item<int>();
  };
  for (const DType type : kTypes) {
    for (const std::int64_t count : {1, 7, 4096, 4097, 1000003}) {
      for (const std::int64_t offset : {0, 1}) {
        const Tensor whole = on_gpu((at::randn({count + offset}) * 1e30).to(scalar_type(type)));
        const Tensor x = whole.narrow(0, offset, count);
        EXPECT_EQ(found(x, type), 0) << count;
        for (const std::int64_t at : {std::int64_t{0}, count / 2, count - 1}) {
          for (const float bad : {kNan, kInfinity, -kInfinity}) {
            const Tensor before = x[at].clone();
            x[at] = bad;
            EXPECT_EQ(found(x, type), 1) << at << " of " << count << " " << bad;
            x[at].copy_(before);
          }
        }
      }
    }
  }
}

TEST_F(KernelsGpu, GeluAndSinusoid) {
  for (const DType type : kTypes) {
    for (const std::int64_t count : {1, 15, 4097, 100000}) {
      const Tensor x = (at::randn({count}) * 4).to(scalar_type(type));
      const Tensor gx = on_gpu(x);
      gelu_tanh(x.data_ptr(), type, count, cpu());
      gelu_tanh(gx.data_ptr(), type, count, gpu());
      expect_same(gx, x, "gelu " + std::to_string(count));
    }
  }
  const Tensor wave = at::empty({256}, at::kFloat);
  const Tensor gwave = on_gpu(wave);
  time_sinusoid(937.5, wave.data_ptr<float>(), 256, cpu());
  time_sinusoid(937.5, gwave.data_ptr<float>(), 256, gpu());
  expect_same(gwave, wave, "sinusoid");
}

}  // namespace
}  // namespace ferry::model::kernels
