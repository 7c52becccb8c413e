#include "bench/decode_floor.h"

#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <optional>

#include "base/clock.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/conv.h"
#include "model/vae/host_pool.h"
#include "model/vae/units.h"
#include "model/vae/vae.h"

namespace ferry::bench {

namespace {

using model::vae::Unit;
using model::vae::UnitKind;

std::int64_t product(at::IntArrayRef values) {
  std::int64_t all = 1;
  for (const std::int64_t value : values) all *= value;
  return all;
}

double flop_of(FrameSize s, std::int64_t multiplications_a_pixel) {
  return 2.0 * static_cast<double>(s.t * s.h * s.w) * static_cast<double>(multiplications_a_pixel);
}

// Elements of the largest input or weight of a later chunk.
std::int64_t largest(const model::VaeConfig& config, FrameSize latent) {
  std::int64_t t = latent.t;
  std::int64_t pixels = latent.h * latent.w;
  std::int64_t most = 0;
  for (const Unit& unit : model::vae::decoder_units(config)) {
    const std::int64_t width = std::max(unit.in, unit.out);
    most = std::max({most, (t + 2) * pixels * width, 27 * width * width, t * pixels * 3 * width});
    if (unit.kind == UnitKind::UpSpaceTime) t *= 2;
    if (unit.kind == UnitKind::UpSpaceTime || unit.kind == UnitKind::UpSpace) pixels *= 4;
  }
  return most;
}

}  // namespace

DecodeFloor::DecodeFloor(const model::VaeConfig& config, FrameSize latent, DType compute, Device& device)
    : config_(config), latent_(latent), device_(device), type_(model::scalar_type(compute)) {
  const model::TorchStream stream(device);
  const std::int64_t count = largest(config, {1, latent.h, latent.w});
  wide_noise_ = at::randn({count}, at::device(model::torch_device(device)).dtype(at::kFloat));
  noise_ = wide_noise_.to(type_);
}

double DecodeFloor::seconds() {
  const model::TorchStream stream(device_);
  std::optional<model::vae::HostPool> pool;
  if (device_.type() == DeviceType::Cpu) pool.emplace();
  chunk(true);
  double all = seconds_;
  flop_ = chunk_flop_;
  if (latent_.t > 1) {
    const auto others = static_cast<double>(latent_.t - 1);
    chunk(false);
    all += seconds_ * others;
    flop_ += chunk_flop_ * others;
  }
  return all;
}

void DecodeFloor::chunk(bool first) {
  first_ = first;
  seconds_ = 0;
  chunk_flop_ = 0;
  FrameSize s = {1, latent_.h, latent_.w};
  const auto units = model::vae::decoder_units(config_);
  causal(s, config_.z_dim, units.front().in, type_);
  for (const Unit& unit : units) {
    if (unit.kind == UnitKind::Attention) {
      attention(s, unit.in);
    } else if (unit.kind == UnitKind::Residual) {
      causal(s, unit.in, unit.out, type_);
      causal(s, unit.out, unit.out, type_);
      if (unit.in != unit.out) pointwise(s, unit.in, unit.out);
    } else {
      up(s, unit.in, unit.out, unit.kind == UnitKind::UpSpaceTime && !first);
    }
  }
  causal(s, units.back().out, 3, at::kFloat);
}

at::Tensor DecodeFloor::noise(at::IntArrayRef shape, at::ScalarType type) const {
  return (type == at::kFloat ? wide_noise_ : noise_).narrow(0, 0, product(shape)).view(shape);
}

template <class Call>
void DecodeFloor::timed(const Call& call) {
  device_.compute().synchronize();
  const auto begin = Clock::now();
  call();
  device_.compute().synchronize();
  seconds_ += seconds_since(begin);
}

// With a temporal kernel the input includes the past frames.
void DecodeFloor::convolve(FrameSize s, const Conv& conv) {
  const auto& shape = conv.weight;
  const bool in_time = shape.size() == 5;
  const at::Tensor in = noise({s.t + (in_time ? shape[2] - 1 : 0), s.h, s.w, shape[1]}, conv.type);
  std::vector<std::int64_t> stored = shape;  // input channels last
  stored.erase(stored.begin() + 1);
  stored.push_back(shape[1]);
  const at::Tensor weight = noise(stored, conv.type).movedim(-1, 1);
  const model::vae::Filter filter = {weight, noise({shape[0]}, conv.type)};
  timed([&] {
    if (in_time) return model::vae::conv_in_time(in, filter);
    return model::vae::conv_in_space(in, filter, shape[2] / 2);
  });
}

void DecodeFloor::causal(FrameSize s, std::int64_t in, std::int64_t out, at::ScalarType type) {
  chunk_flop_ += flop_of(s, in * out * 27);
  if (first_) return convolve(s, {{out, in, 3, 3}, type});
  convolve(s, {{out, in, 3, 3, 3}, type});
}

void DecodeFloor::pointwise(FrameSize s, std::int64_t in, std::int64_t out) {
  chunk_flop_ += flop_of(s, in * out);
  convolve(s, {{out, in, 1, 1}, type_});
}

void DecodeFloor::attention(FrameSize s, std::int64_t width) {
  pointwise(s, width, 3 * width);
  chunk_flop_ += flop_of(s, 2 * s.h * s.w * width);
  const auto parts = noise({s.t, 1, s.h * s.w, 3 * width}, type_).chunk(3, 3);
  timed([&] { return at::scaled_dot_product_attention(parts[0], parts[1], parts[2]); });
  pointwise(s, width, width);
}

void DecodeFloor::up(FrameSize& s, std::int64_t in, std::int64_t out, bool double_time) {
  if (double_time) {
    chunk_flop_ += flop_of(s, 2 * in * in * 3);
    for (int half = 0; half < 2; ++half) convolve(s, {{in, in, 3, 1, 1}, type_});
    s.t *= 2;
  }
  chunk_flop_ += flop_of({s.t, 2 * s.h, 2 * s.w}, in * out * 9);
  for (std::int64_t t = 0; t < s.t; ++t) convolve({1, s.h, s.w}, {{4 * out, in, 2, 2}, type_});
  s.h *= 2;
  s.w *= 2;
}

}  // namespace ferry::bench
