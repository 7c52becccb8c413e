// The decoder of the Wan2.1 VAE: a latent in, video frames out, one latent frame at a time.
//
// wan21.md section 5 in short: the 3x3x3 convolutions are causal in time, each keeps the last two frames of
// its input, and the temporal up-samplers treat the first latent frame separately.  So T latent frames of h x
// w become 1 + r (T - 1) frames of sh x sw pixels, where s doubles per up-sampling and r per up-sampling in
// time (Wan2.1: s = 8, r = 4).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

#include "base/device.h"
#include "model/tap.h"
#include "model/vae/config.h"
#include "model/vae/spec.h"
#include "model/vae/units.h"
#include "model/weights.h"
#include "parallel/group.h"

namespace ferry::model {

struct VaeRuntime {
  Device* device = nullptr;
  DType compute = DType::F32;  // as given to vae_decoder_spec
  Tap tap = nullptr;           // of each latent frame's chunk; empty: no tap
  // The ranks that share each frame's rows, evenly, in their order (model/vae/band.h); nullptr: none do.
  parallel::Group* group = nullptr;
  // Optional; hears of an exception before the pass ends, for which the weights may wait for the device.
  std::function<void(const std::exception&)> failed{};
};

// Receives the frames [3, f, H, W] fp32, not clamped, that follow the `first_frame` frames before them; if
// ranks share them, this rank's rows.  On CUDA they are valid on the compute stream; the tensor may be kept.
using FrameSink = std::function<void(std::int64_t first_frame, const at::Tensor& frames)>;

class VaeDecoder {
 public:
  // `weights` must serve vae_decoder_spec(config, runtime.compute) and, like what `runtime` points to,
  // outlive this.  Throws std::invalid_argument for a config that makes no network or whose statistics are
  // not of z_dim channels.
  VaeDecoder(const VaeConfig& config, Weights& weights, VaeRuntime runtime);

  // Decodes a latent and hands each latent frame's video frames to `sink` as soon as they are queued.
  //
  //   latent  [z_dim, T, h, w]  fp32, normalised (as the sampler leaves it), on the device; whole on every
  //   rank
  //
  // With a group it is collective over that; the ranks' frames together are those of one rank but for what
  // convolutions and attention round otherwise at another number of rows.
  // One pass over the weights per latent frame: "decode.first", which uses no time_conv, then "decode.next".
  // Runs on the device's compute stream; never makes the host wait.  One thread at a time.
  // Throws std::invalid_argument for a latent of another shape or dtype.
  void decode(const at::Tensor& latent, const FrameSink& sink);

 private:
  VaeConfig config_;
  Weights& weights_;
  VaeRuntime runtime_;
  std::vector<vae::Unit> units_;
};

// Pixels per latent pixel along each edge, and frames per latent frame after the first.
std::int64_t spatial_scale(const VaeConfig& config);
std::int64_t temporal_scale(const VaeConfig& config);

}  // namespace ferry::model
