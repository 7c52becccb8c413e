// How long a VAE decode takes, beside the time of its convolutions and attention alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/device.h"
#include "model/vae/vae.h"

namespace ferry::bench {

struct DecodeCase {
  model::VaeConfig config;
  std::int64_t width = 416;  // pixels, a multiple of the VAE's scale
  std::int64_t height = 240;
  std::int64_t frames = 17;  // 1 + a multiple of the VAE's scale in time
  DType compute = DType::F32;
  int samples = 3;
};

struct DecodeResult {
  DecodeCase measured;
  std::string device;
  int threads = 0;
  double tflop = 0;                    // of the convolutions and attention of wan21.md section 5
  std::vector<double> decode_seconds;  // one per sample
  // The library alone, on the same shapes and threads, each sample right after the decode of the same index:
  // every convolution the decoder calls, and attention; no norms, caches or copies.
  std::vector<double> floor_seconds;
  std::size_t weight_bytes = 0;
  // Most memory beyond what was held before the decode (weights and latent): on the CPU resident memory of
  // the process, on CUDA 0 (not measured).
  std::size_t peak_bytes = 0;
};

// Decodes a random latent with `weights` (of vae_decoder_spec(config, compute), ready for use on `device`)
// once to warm up, then `samples` times, in turn with the floor.  Runs on device.compute() and waits for it.
// Throws std::invalid_argument for a size that is no whole number of latent pixels or frames, Error when a
// decoded frame is not finite or of the wrong size.
DecodeResult measure_decode(const DecodeCase& what, model::Weights& weights, Device& device);

double median(std::vector<double> samples);

// One line: the case, medians, spread (largest less smallest, over the median), the ratio to the floor.
std::string to_json(const DecodeResult& result);

}  // namespace ferry::bench
