// Measures a VAE decode against its convolutions and attention alone.
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
  double tflop = 0;                    // convolutions and attention of wan21.md section 5
  std::vector<double> decode_seconds;  // one per sample
  // The library alone on the same shapes and threads, each sample right after the decode of the same index:
  // all convolutions of the decoder, and attention; no norms, caches or copies.
  std::vector<double> floor_seconds;
  std::size_t weight_bytes = 0;
  // Peak memory beyond weights and latent: resident memory of the process on the CPU; 0 on CUDA (not
  // measured).
  std::size_t peak_bytes = 0;
};

// Decodes a random latent with `weights` (of vae_decoder_spec(config, compute), ready for use on `device`)
// once to warm up, then `samples` times, alternating with the floor.  Runs on device.compute() and waits for
// it.
// Throws std::invalid_argument for a size that is not a whole number of latent pixels or frames, Error if a
// decoded frame is not finite or has the wrong size.
DecodeResult measure_decode(const DecodeCase& what, model::Weights& weights, Device& device);

double median(std::vector<double> samples);

// One line: the case, medians, spread ((max - min) / median), the ratio to the floor.
std::string to_json(const DecodeResult& result);

}  // namespace ferry::bench
