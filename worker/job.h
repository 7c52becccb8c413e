// A job with nothing left open: what one video is made from and where it goes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "worker/output/video.h"

namespace ferry::worker {

struct Job {
  std::string prompt;
  std::string negative_prompt;
  std::int64_t width = 0;  // pixels
  std::int64_t height = 0;
  std::int64_t frames = 0;
  std::array<std::int64_t, 4> latent_shape{};  // [C, T, h, w]
  int steps = 0;
  std::string sampler;
  double guidance = 1;
  double shift = 1;
  double fps = 16;
  std::int64_t seed = 0;
  bool seed_drawn = false;
  std::string noise;         // file, or empty
  std::string noise_device;  // "cpu", "cuda": whose generator draws the noise; "file"
  std::string context;       // file, or empty
  std::string video;         // paths of the results
  std::string sheet;
  std::string sidecar;
  std::string save;  // or empty
  int out_scale = 1;
  bool overwrite = false;
  VideoCodec codec;

  // Whether there is an unconditional branch.
  bool guided() const { return guidance != 1; }
};

// One line of JSON, and back: how rank 0 tells the others, and what the sidecar keeps.
std::string to_json(const Job& job);
Job job_from_json(const std::string& text);

}  // namespace ferry::worker
