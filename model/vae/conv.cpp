#include "model/vae/conv.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/stack.h>

#include <array>

namespace ferry::model::vae {

namespace {

// Stride and dilation 1; `padding` per spatial dimension.
at::Tensor convolve(const at::Tensor& in, const Filter& filter, at::IntArrayRef padding) {
  constexpr std::array<std::int64_t, 3> kOnes = {1, 1, 1};
  const at::IntArrayRef ones(kOnes.data(), padding.size());
  // For bf16 LibTorch chooses oneDNN itself if the processor supports it.
  if (in.is_cpu() && in.scalar_type() == at::kFloat && at::globalContext().userEnabledMkldnn() &&
      at::hasMKLDNN()) {
    return at::mkldnn_convolution(in, filter.weight, filter.bias, padding, ones, ones, 1);
  }
  constexpr std::array<std::int64_t, 3> kZeros = {0, 0, 0};
  const at::IntArrayRef zeros(kZeros.data(), padding.size());
  return at::convolution(in, filter.weight, filter.bias, ones, padding, ones, false, zeros, 1);
}

// The two windows, [out, in, 2 (window), 2 (tap), ...], that three taps along `dim` form at the first and
// second pixel of a doubled pair: {k0, k1 + k2} and {k0 + k1, k2}.
std::array<at::Tensor, 2> windows(const at::Tensor& taps, std::int64_t dim) {
  const at::Tensor k0 = taps.select(dim, 0);
  const at::Tensor k1 = taps.select(dim, 1);
  const at::Tensor k2 = taps.select(dim, 2);
  return {at::stack({k0, k1 + k2}, dim), at::stack({k0 + k1, k2}, dim)};
}

// The four 2x2 filters, stacked on the output channels: first rows, then columns.
Filter four_phases(const Filter& filter) {
  const at::Tensor taps = filter.weight.to(at::kFloat);  // added in fp32, rounded once
  std::vector<at::Tensor> phases;
  for (const at::Tensor& rows : windows(taps, 2)) {
    for (const at::Tensor& both : windows(rows, 3)) phases.push_back(both);
  }
  const at::Tensor weight = at::cat(phases, 0).to(filter.weight.scalar_type());
  return {weight.contiguous(at::MemoryFormat::ChannelsLast), filter.bias.repeat({4})};
}

}  // namespace

at::Tensor conv_in_time(const at::Tensor& in, const Filter& filter, Beyond beyond) {
  const std::int64_t rows = beyond == Beyond::Rows ? 0 : filter.weight.size(3) / 2;
  const std::array<std::int64_t, 3> padding = {0, rows, filter.weight.size(4) / 2};
  const at::Tensor out = convolve(in.permute({3, 0, 1, 2}).unsqueeze(0), filter, padding);
  return out[0].permute({1, 2, 3, 0}).contiguous();
}

at::Tensor conv_in_space(const at::Tensor& in, const Filter& filter, std::int64_t padding, Beyond beyond) {
  const std::array<std::int64_t, 2> both = {beyond == Beyond::Rows ? 0 : padding, padding};
  return convolve(in.permute({0, 3, 1, 2}), filter, both).permute({0, 2, 3, 1}).contiguous();
}

Filter tap(const Filter& filter, std::int64_t time) { return {filter.weight.select(2, time), filter.bias}; }

void double_and_conv(const at::Tensor& in, const Filter& filter, const at::Tensor& out, Beyond beyond) {
  const std::int64_t h = out.size(1) / 2;
  const std::int64_t w = in.size(2);
  const std::int64_t channels = out.size(3);
  const Filter phases = four_phases(filter);
  const at::Tensor pixels = out.view({out.size(0), h, 2, w, 2, channels});
  // Frame by frame: the phases of all frames together would be as large as the result.
  for (std::int64_t t = 0; t < in.size(0); ++t) {
    const at::Tensor sums = conv_in_space(in.narrow(0, t, 1), phases, 1, beyond)[0];
    for (std::int64_t phase = 0; phase < 4; ++phase) {
      const std::int64_t dy = phase / 2;
      const std::int64_t dx = phase % 2;
      pixels[t].select(3, dx).select(1, dy).copy_(
          sums.narrow(0, dy, h).narrow(1, dx, w).narrow(2, phase * channels, channels));
    }
  }
}

}  // namespace ferry::model::vae
