// A job with nothing left open: what one video is made from and where it goes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "worker/output/video.h"

namespace ferry::worker {

// Tokens of a prompt, end-of-sentence included; zeros: it is not tokenised in this run.
struct TokenCount {
  std::int64_t total = 0;  // of the whole prompt
  std::int64_t used = 0;   // that the text encoder reads
};

// A further member goes into the list in job.cpp too: the other ranks and the record get what is listed
// there.
struct Job {
  std::string prompt;  // as it was given, whole
  std::string negative_prompt;
  TokenCount prompt_tokens;
  TokenCount negative_prompt_tokens;
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
  std::string latents;       // file that is decoded, and nothing else is done; or empty
  std::string made_by;       // what that file says of the run that made it: JSON, or empty
  std::string video;         // paths of the results
  std::string sheet;
  std::string record;
  std::string save;  // or empty
  int out_scale = 1;
  bool overwrite = false;
  VideoCodec codec;

  // Whether there is an unconditional branch.
  bool guided() const { return guidance != 1; }
};

// One line of JSON, and back: how rank 0 tells the others, and what the record keeps.
std::string to_json(const Job& job);
Job job_from_json(const std::string& text);

}  // namespace ferry::worker
