// The library's share of a VAE decode: every convolution of the decoder, and attention, on noise of the same
// shapes, each timed separately; no norms, caches or copies.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/device.h"
#include "model/vae/config.h"

namespace ferry::bench {

struct FrameSize {
  std::int64_t t = 1;
  std::int64_t h = 1;
  std::int64_t w = 1;
};

class DecodeFloor {
 public:
  // For latents of the given size; allocates noise of the largest input's size.
  DecodeFloor(const model::VaeConfig& config, FrameSize latent, DType compute, Device& device);

  // Runs one first chunk and one later chunk, and counts the latter for all others.  Blocks.
  double seconds();

  // Floating-point operations of one decode (wan21.md section 5): twice the multiplications.
  double flop() const { return flop_; }

 private:
  struct Conv {
    std::vector<std::int64_t> weight;  // [out, in, (kt,) kh, kw]
    at::ScalarType type;
  };
  void chunk(bool first);
  void causal(FrameSize s, std::int64_t in, std::int64_t out, at::ScalarType type);
  void pointwise(FrameSize s, std::int64_t in, std::int64_t out);
  void attention(FrameSize s, std::int64_t width);
  void up(FrameSize& s, std::int64_t in, std::int64_t out, bool double_time);
  void convolve(FrameSize s, const Conv& conv);
  template <class Call>
  void timed(const Call& call);
  at::Tensor noise(at::IntArrayRef shape, at::ScalarType type) const;

  model::VaeConfig config_;
  FrameSize latent_;
  Device& device_;
  at::ScalarType type_;
  at::Tensor noise_;       // of the compute type
  at::Tensor wide_noise_;  // fp32, for the last convolution
  bool first_ = false;     // current chunk
  double seconds_ = 0;     // of the current chunk
  double chunk_flop_ = 0;
  double flop_ = 0;
};

}  // namespace ferry::bench
