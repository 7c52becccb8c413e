// A fully resolved job: inputs, settings and outputs of one video.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/job/options.h"
#include "worker/output/video.h"

namespace ferry::worker {

// Token counts of a prompt, end-of-sentence included; zeros if it is not tokenised in this run.
struct TokenCount {
  std::int64_t total = 0;  // whole prompt
  std::int64_t used = 0;   // read by the text encoder
};

// A further member goes into the list in job.cpp too: the other ranks and the record get what is listed
// there.
struct Job {
  std::string prompt;  // as given
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
  std::string noise_device;  // generator of the noise: "cpu", "cuda"; "file"
  std::string context;       // file, or empty
  std::string latents;       // file to decode, without sampling; or empty
  std::vector<LoraChoice> loras;
  std::string made_by;  // from that file: the run that made it, as JSON; or empty
  std::string video;    // paths of the results
  std::string sheet;
  std::string record;
  std::string save;  // or empty
  int out_scale = 1;
  bool overwrite = false;
  VideoCodec codec;

  // True if there is an unconditional branch.
  bool guided() const { return guidance != 1; }
};

// To and from one line of JSON, used to send the job from rank 0 and in the record.
std::string to_json(const Job& job);
Job job_from_json(const std::string& text);

}  // namespace ferry::worker
