#include "model/vae/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <array>
#include <stdexcept>

#include "model/kernels/attention.h"
#include "model/kernels/vae_norm.h"
#include "model/tensor.h"
#include "model/vae/conv.h"
#include "model/vae/spec.h"

namespace ferry::model::vae {

namespace {

Filter filter_of(const ModuleScope& module) { return {module[0], module[1]}; }

// `y` is contiguous, or has contiguous rows in each frame.
void normalise(const Chunk& chunk, ModuleId id, const at::Tensor& x, const at::Tensor& y, bool silu) {
  const ModuleScope norm(chunk.weights, id);
  const std::int64_t channels = x.size(3);
  const auto run = [&](const at::Tensor& from, const at::Tensor& to) {
    kernels::vae_norm({.x = from.const_data_ptr(),
                       .y = to.mutable_data_ptr(),
                       .x_type = dtype_of(from),
                       .y_type = dtype_of(to),
                       .gamma = norm[0].const_data_ptr<float>(),
                       .pixels = from.numel() / channels,
                       .channels = channels,
                       .silu = silu},
                      chunk.device.compute());
  };
  if (y.is_contiguous()) return run(x, y);
  for (std::int64_t t = 0; t < x.size(0); ++t) run(x[t], y[t]);
}

Beyond beyond(const Band& band) { return band.split() ? Beyond::Rows : Beyond::Zeros; }

// The input of a causal convolution: past frames, then this chunk's, to be written.  If the convolution
// reaches beyond the band, each frame has one extra row at both ends.
struct CausalInput {
  at::Tensor all;    // [2 + t, h, w, c]; of the first chunk [t, h, w, c]
  at::Tensor fresh;  // its last t frames
  at::Tensor own;    // the band's rows of `fresh`, to be written
};

CausalInput open_input(const Chunk& chunk, ModuleId id, const at::Tensor& like, DType dtype, Beyond ends) {
  const auto options = like.options().dtype(scalar_type(dtype));
  const std::int64_t halo = ends == Beyond::Rows ? 1 : 0;
  const std::array<std::int64_t, 4> shape = {like.size(0), halo + like.size(1) + halo, like.size(2),
                                             like.size(3)};
  const at::Tensor all = chunk.first ? at::empty(shape, options) : chunk.cache.open(id, shape, options);
  const at::Tensor fresh = all.narrow(0, all.size(0) - shape[0], shape[0]);
  return {all, fresh, fresh.narrow(1, halo, like.size(1))};
}

// Caches the end of `in` and convolves.  A single frame whose past is zero needs only the last tap.
at::Tensor convolve_input(const Chunk& chunk, ModuleId id, const CausalInput& in) {
  if (chunk.band.split()) fetch_halos(chunk.band, in.fresh, chunk.device.compute());
  const ModuleScope conv(chunk.weights, id);
  if (!chunk.last) chunk.cache.close(id, in.all);
  if (chunk.first) return conv_in_space(in.all, tap(filter_of(conv), 2), 1, beyond(chunk.band));
  return conv_in_time(in.all, filter_of(conv), beyond(chunk.band));
}

at::Tensor residual(const Chunk& chunk, int block, const Unit& unit, const at::Tensor& x) {
  const DType dtype = dtype_of(x);
  at::Tensor y =
      norm_silu_conv(chunk, id_of(block, VaeResidual::Norm1), id_of(block, VaeResidual::Conv1), x, dtype);
  y = norm_silu_conv(chunk, id_of(block, VaeResidual::Norm2), id_of(block, VaeResidual::Conv2), std::move(y),
                     dtype);
  if (unit.in == unit.out) return y.add_(x);
  return y.add_(pointwise(chunk, id_of(block, VaeResidual::Shortcut), x));
}

// One head as wide as the frame's channels, each frame separately: this rank's pixels attend to those of all
// ranks.
at::Tensor attention(const Chunk& chunk, int block, const at::Tensor& x) {
  const at::Tensor normed = at::empty_like(x);
  normalise(chunk, id_of(block, VaeAttention::Norm), x, normed, false);
  const at::Tensor qkv = pointwise(chunk, id_of(block, VaeAttention::ToQkv), normed);
  const std::int64_t c = x.size(3);
  at::Tensor seen = qkv.narrow(3, c, 2 * c);
  if (chunk.band.split()) seen = gather_rows(chunk.band, seen.contiguous(), chunk.device.compute());
  const auto head = [&](const at::Tensor& rows, std::int64_t first) {
    return rows.narrow(3, first, c).view({x.size(0), 1, -1, c});
  };
  const at::Tensor mixed = kernels::attend(head(qkv, 0), head(seen, 0), head(seen, c));
  return pointwise(chunk, id_of(block, VaeAttention::Proj), mixed.reshape(x.sizes())).add_(x);
}

// Doubles t frames: the first half of the time convolution's channels is the earlier frame of a pair. Returns
// the earlier ones and the later ones.
std::array<at::Tensor, 2> double_in_time(const Chunk& chunk, int block, const at::Tensor& x) {
  const ModuleId id = id_of(block, VaeUp::TimeConv);
  const ModuleScope conv(chunk.weights, id);
  const CausalInput in = open_input(chunk, id, x, dtype_of(x), Beyond::Zeros);
  in.own.copy_(x);
  if (!chunk.last) chunk.cache.close(id, in.all);
  const std::int64_t channels = x.size(3);
  const auto half = [&](std::int64_t which) {
    return conv_in_time(in.all, {conv[0].narrow(0, which * channels, channels),
                                 conv[1].narrow(0, which * channels, channels)});
  };
  return {half(0), half(1)};
}

// Adds a halo row at both ends of each frame if `x` is a band.
at::Tensor with_halos(const Chunk& chunk, at::Tensor x) {
  if (!chunk.band.split()) return x;
  const at::Tensor frames = at::empty({x.size(0), 1 + x.size(1) + 1, x.size(2), x.size(3)}, x.options());
  frames.narrow(1, 1, x.size(1)).copy_(x);
  fetch_halos(chunk.band, frames, chunk.device.compute());
  return frames;
}

at::Tensor up(const Chunk& chunk, int block, const Unit& unit, at::Tensor x) {
  const std::int64_t repeats = unit.kind == UnitKind::UpSpaceTime && !chunk.first ? 2 : 1;
  std::array<at::Tensor, 2> parts = {x};
  if (repeats == 2) parts = double_in_time(chunk, block, x);
  x.reset();
  const std::int64_t t = parts[0].size(0);
  const std::int64_t h = 2 * parts[0].size(1);
  const std::int64_t w = 2 * parts[0].size(2);
  const ModuleScope conv(chunk.weights, id_of(block, VaeUp::Resample));
  const at::Tensor out = at::empty({t, repeats, h, w, unit.out}, parts[0].options());
  for (std::int64_t i = 0; i < repeats; ++i) {
    const at::Tensor part = with_halos(chunk, std::move(parts[i]));
    double_and_conv(part, filter_of(conv), out.select(1, i), beyond(chunk.band));
  }
  return out.view({t * repeats, h, w, unit.out});
}

}  // namespace

at::Tensor norm_silu_conv(const Chunk& chunk, ModuleId norm, ModuleId conv, at::Tensor x, DType dtype) {
  const CausalInput in = open_input(chunk, conv, x, dtype, beyond(chunk.band));
  normalise(chunk, norm, x, in.own, true);
  x.reset();
  return convolve_input(chunk, conv, in);
}

at::Tensor causal_conv(const Chunk& chunk, ModuleId conv, const at::Tensor& x) {
  const CausalInput in = open_input(chunk, conv, x, dtype_of(x), beyond(chunk.band));
  in.own.copy_(x);
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
