#include "tests/unit/dit_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "model/dit/spec.h"

namespace ferry::testing {

namespace {

using at::Tensor;
using model::DitBlock;
using model::DitHead;
using model::DitTail;
using model::id_of;

struct Net {
  const model::DitConfig& c;
  model::Weights& w;

  Tensor tensor(model::ModuleId id, std::size_t i = 0) const { return w.acquire(id)[i]; }
  // A linear casts its input to the type of its weight.
  Tensor linear(model::ModuleId id, const Tensor& x) const {
    return at::linear(x.to(tensor(id).scalar_type()), tensor(id), tensor(id, 1));
  }
  at::ScalarType compute() const { return tensor(id_of(DitHead::PatchEmbedding)).scalar_type(); }
};

Tensor layer_norm(const Net& net, const Tensor& x) {
  return at::layer_norm(x.to(at::kFloat), {net.c.dim}, {}, {}, net.c.eps).to(x.scalar_type());
}

Tensor rms_norm(const Net& net, model::ModuleId norm, const Tensor& z) {
  const Tensor f = z.to(at::kFloat);
  const Tensor unit = f * at::rsqrt(at::pow(f, 2).mean(-1, true) + net.c.eps);
  return unit.to(z.scalar_type()).to(at::kFloat) * net.tensor(norm);
}

// Angles [L, head_dim / 2] in fp64.
Tensor angles(const Net& net, at::IntArrayRef grid) {
  const std::int64_t pairs = net.c.head_dim() / 2;
  const std::int64_t third = pairs / 3;
  const auto axis = [&](std::int64_t positions, std::int64_t count) {
    const Tensor theta =
        at::pow(10000.0, at::arange(count, at::kDouble) * (-1.0 / static_cast<double>(count)));
    return at::arange(positions, at::kDouble).unsqueeze(1) * theta;
  };
  const auto spread = [&](const Tensor& t, at::IntArrayRef at) {
    return t.view({at[0], at[1], at[2], -1}).expand({grid[0], grid[1], grid[2], -1});
  };
  return at::cat(
             {spread(axis(grid[0], pairs - 2 * third), {grid[0], 1, 1}),
              spread(axis(grid[1], third), {1, grid[1], 1}), spread(axis(grid[2], third), {1, 1, grid[2]})},
             -1)
      .reshape({-1, pairs});
}

Tensor rotate(const Net& net, const Tensor& x, const Tensor& angle) {
  const Tensor pairs = x.to(at::kDouble).view({x.size(0), net.c.heads, -1, 2});
  const Tensor cos = at::cos(angle).unsqueeze(1);
  const Tensor sin = at::sin(angle).unsqueeze(1);
  const Tensor a = pairs.select(-1, 0);
  const Tensor b = pairs.select(-1, 1);
  return at::stack({a * cos - b * sin, a * sin + b * cos}, -1).flatten(1).to(at::kFloat);
}

// Inputs rounded to the compute type.  fp32: everything between in fp64.  bf16: LibTorch's kernel, since how
// it rounds the probabilities is its own affair.
Tensor attend(const Net& net, const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto inside = net.compute() == at::kFloat ? at::kDouble : net.compute();
  const auto heads = [&](const Tensor& x) {
    return x.to(net.compute()).to(inside).view({1, x.size(0), net.c.heads, -1}).transpose(1, 2);
  };
  const Tensor out = at::scaled_dot_product_attention(heads(q), heads(k), heads(v));
  return out.squeeze(0).transpose(0, 1).flatten(1).to(net.compute());
}

Tensor self_attention(const Net& net, int block, const Tensor& u, const Tensor& angle) {
  const auto at_ = [&](DitBlock module) { return id_of(block, module); };
  const Tensor q = rms_norm(net, at_(DitBlock::SelfNormQ), net.linear(at_(DitBlock::SelfQ), u));
  const Tensor k = rms_norm(net, at_(DitBlock::SelfNormK), net.linear(at_(DitBlock::SelfK), u));
  const Tensor v = net.linear(at_(DitBlock::SelfV), u);
  return net.linear(at_(DitBlock::SelfO), attend(net, rotate(net, q, angle), rotate(net, k, angle), v));
}

Tensor cross_attention(const Net& net, int block, const Tensor& u, const Tensor& text) {
  const auto at_ = [&](DitBlock module) { return id_of(block, module); };
  const Tensor q = rms_norm(net, at_(DitBlock::CrossNormQ), net.linear(at_(DitBlock::CrossQ), u));
  const Tensor k = rms_norm(net, at_(DitBlock::CrossNormK), net.linear(at_(DitBlock::CrossK), text));
  const Tensor v = net.linear(at_(DitBlock::CrossV), text);
  return net.linear(at_(DitBlock::CrossO), attend(net, q, k, v));
}

Tensor run_block(const Net& net, int block, Tensor x, const Tensor& e0, const Tensor& text,
                 const Tensor& angle) {
  const Tensor m = net.tensor(id_of(block, DitBlock::Modulation)).view({6, -1}) + e0;
  const auto modulated = [&](int shift) {
    return layer_norm(net, x).to(at::kFloat) * (m[shift + 1] + 1.0) + m[shift];
  };
  x = x + self_attention(net, block, modulated(0), angle) * m[2];
  const auto norm3 = id_of(block, DitBlock::Norm3);
  const Tensor u =
      at::layer_norm(x.to(at::kFloat), {net.c.dim}, net.tensor(norm3), net.tensor(norm3, 1), net.c.eps);
  x = x + cross_attention(net, block, u, text);
  const Tensor hidden = at::gelu(net.linear(id_of(block, DitBlock::Ffn0), modulated(3)), "tanh");
  return x + net.linear(id_of(block, DitBlock::Ffn2), hidden) * m[5];
}

Tensor time_embedding(const Net& net, double timestep) {
  const std::int64_t half = net.c.freq_dim / 2;
  const Tensor angle =
      at::pow(10000.0, at::arange(half, at::kDouble) * (-1.0 / static_cast<double>(half))) * timestep;
  const Tensor sinusoid = at::cat({at::cos(angle), at::sin(angle)}).to(at::kFloat).unsqueeze(0);
  return net.linear(id_of(DitHead::Time2), at::silu(net.linear(id_of(DitHead::Time0), sinusoid)));
}

Tensor text_embedding(const Net& net, const Tensor& context) {
  Tensor padded = at::zeros({net.c.text_len, net.c.text_dim}, net.compute());
  padded.narrow(0, 0, context.size(0)).copy_(context);
  return net.linear(id_of(DitHead::Text2), at::gelu(net.linear(id_of(DitHead::Text0), padded), "tanh"));
}

}  // namespace

Tensor reference_dit(const model::DitConfig& config, model::Weights& weights, const Tensor& latent,
                     double timestep, const Tensor& context) {
  const Net net = {config, weights};
  const auto patch = id_of(DitHead::PatchEmbedding);
  const Tensor embedded = at::conv3d(latent.to(net.compute()).unsqueeze(0), net.tensor(patch),
                                     net.tensor(patch, 1), at::IntArrayRef{1, 2, 2});
  const auto grid = embedded.sizes().slice(2).vec();
  Tensor x = embedded.flatten(2).squeeze(0).t().contiguous();
  const Tensor angle = angles(net, grid);
  const Tensor e = time_embedding(net, timestep);
  const Tensor e0 = net.linear(id_of(DitHead::TimeProjection), at::silu(e)).view({6, -1});
  const Tensor text = text_embedding(net, context);
  for (int block = 0; block < config.layers; ++block) x = run_block(net, block, x, e0, text, angle);
  const Tensor r = net.tensor(id_of(DitTail::Modulation)).view({2, -1}) + e;
  const Tensor out = net.linear(id_of(DitTail::Head), layer_norm(net, x) * (r[1] + 1.0) + r[0]);
  return out.view({grid[0], grid[1], grid[2], 2, 2, -1})
      .permute({5, 0, 1, 3, 2, 4})
      .reshape({config.out_channels, grid[0], grid[1] * 2, grid[2] * 2});
}

}  // namespace ferry::testing
