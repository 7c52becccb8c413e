#include "model/vae/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <stdexcept>

#include "model/kernels/vae_norm.h"
#include "model/tensor.h"
#include "model/vae/conv.h"

namespace ferry::model::vae {

namespace {

Filter filter_of(const ModuleScope& module) { return {module[0], module[1]}; }

void normalise(const Chunk& chunk, ModuleId id, const at::Tensor& x, const at::Tensor& y, bool silu) {
  const ModuleScope norm(chunk.weights, id);
  const std::int64_t channels = x.size(3);
  kernels::vae_norm({.x = x.const_data_ptr(),
                     .y = y.mutable_data_ptr(),
                     .x_type = dtype_of(x),
                     .y_type = dtype_of(y),
                     .gamma = norm[0].const_data_ptr<float>(),
                     .pixels = x.numel() / channels,
                     .channels = channels,
                     .silu = silu},
                    chunk.device.compute());
}

// The input of a causal convolution: this chunk's frames, to be written, behind those before them.
struct CausalInput {
  at::Tensor all;    // [2 + t, h, w, c]; of the first chunk [t, h, w, c]
  at::Tensor fresh;  // its last t frames
};

CausalInput open_input(const Chunk& chunk, ModuleId id, const at::Tensor& like, DType dtype) {
  const auto options = like.options().dtype(scalar_type(dtype));
  const at::Tensor all =
      chunk.first ? at::empty(like.sizes(), options) : chunk.cache.open(id, like.sizes(), options);
  const std::int64_t t = like.size(0);
  return {all, all.narrow(0, all.size(0) - t, t)};
}

// Remembers the end of `in` and convolves.  With zeros for a past, a single frame meets the last tap alone.
at::Tensor convolve_input(const Chunk& chunk, ModuleId id, const CausalInput& in) {
  const ModuleScope conv(chunk.weights, id);
  if (!chunk.last) chunk.cache.close(id, in.all);
  if (chunk.first) return conv_in_space(in.all, tap(filter_of(conv), 2), 1);
  return conv_in_time(in.all, filter_of(conv));
}

at::Tensor residual(const Chunk& chunk, int block, const Unit& unit, const at::Tensor& x) {
  const DType dtype = dtype_of(x);
  at::Tensor y = norm_silu_conv(chunk, {block, kNorm1}, {block, kConv1}, x, dtype);
  y = norm_silu_conv(chunk, {block, kNorm2}, {block, kConv2}, std::move(y), dtype);
  if (unit.in == unit.out) return y.add_(x);
  return y.add_(pointwise(chunk, {block, kShortcut}, x));
}

// One head as wide as the frame's channels; every frame by itself.
at::Tensor attention(const Chunk& chunk, int block, const at::Tensor& x) {
  const at::Tensor normed = at::empty_like(x);
  normalise(chunk, {block, kAttentionNorm}, x, normed, false);
  const at::Tensor qkv = pointwise(chunk, {block, kToQkv}, normed).view({x.size(0), 1, -1, 3 * x.size(3)});
  const auto parts = qkv.chunk(3, 3);
  const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
  return pointwise(chunk, {block, kProj}, mixed.reshape(x.sizes())).add_(x);
}

// t frames to 2t: of the time convolution's channels the first half is the earlier frame of a pair.
// Returns the earlier ones and the later ones.
std::array<at::Tensor, 2> double_in_time(const Chunk& chunk, int block, const at::Tensor& x) {
  const ModuleId id = {block, kTimeConv};
  const ModuleScope conv(chunk.weights, id);
  const CausalInput in = open_input(chunk, id, x, dtype_of(x));
  in.fresh.copy_(x);
  if (!chunk.last) chunk.cache.close(id, in.all);
  const std::int64_t channels = x.size(3);
  const auto half = [&](std::int64_t which) {
    return conv_in_time(in.all, {conv[0].narrow(0, which * channels, channels),
                                 conv[1].narrow(0, which * channels, channels)});
  };
  return {half(0), half(1)};
}

at::Tensor up(const Chunk& chunk, int block, const Unit& unit, at::Tensor x) {
  const std::int64_t repeats = unit.kind == UnitKind::UpSpaceTime && !chunk.first ? 2 : 1;
  std::array<at::Tensor, 2> parts = {x};
  if (repeats == 2) parts = double_in_time(chunk, block, x);
  x.reset();
  const std::int64_t t = parts[0].size(0);
  const std::int64_t h = 2 * parts[0].size(1);
  const std::int64_t w = 2 * parts[0].size(2);
  const ModuleScope conv(chunk.weights, {block, kResample});
  const at::Tensor out = at::empty({t, repeats, h, w, unit.out}, parts[0].options());
  for (std::int64_t i = 0; i < repeats; ++i) double_and_conv(parts[i], filter_of(conv), out.select(1, i));
  return out.view({t * repeats, h, w, unit.out});
}

}  // namespace

at::Tensor norm_silu_conv(const Chunk& chunk, ModuleId norm, ModuleId conv, at::Tensor x, DType dtype) {
  const CausalInput in = open_input(chunk, conv, x, dtype);
  normalise(chunk, norm, x, in.fresh, true);
  x.reset();
  return convolve_input(chunk, conv, in);
}

at::Tensor causal_conv(const Chunk& chunk, ModuleId conv, const at::Tensor& x) {
  const CausalInput in = open_input(chunk, conv, x, dtype_of(x));
  in.fresh.copy_(x);
  return convolve_input(chunk, conv, in);
}

at::Tensor pointwise(const Chunk& chunk, ModuleId conv, const at::Tensor& x) {
  const ModuleScope module(chunk.weights, conv);
  const Filter filter = filter_of(module);
  return conv_in_space(x, filter.weight.dim() == 5 ? tap(filter, 0) : filter, 0);
}

at::Tensor run_unit(const Chunk& chunk, int block, const Unit& unit, at::Tensor x) {
  switch (unit.kind) {
    case UnitKind::Residual:
      return residual(chunk, block, unit, x);
    case UnitKind::Attention:
      return attention(chunk, block, x);
    case UnitKind::UpSpace:
    case UnitKind::UpSpaceTime:
      return up(chunk, block, unit, std::move(x));
  }
  throw std::invalid_argument("VAE: unknown unit");
}

}  // namespace ferry::model::vae
