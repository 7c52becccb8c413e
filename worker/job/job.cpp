#include "worker/job/job.h"

#include <nlohmann/json.hpp>

namespace ferry::worker {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VideoCodec, encoder, extension)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TokenCount, total, used)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LoraChoice, path, strength)
// All fields except the record's own path, whose key is older than its name.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Job, prompt, negative_prompt, prompt_tokens, negative_prompt_tokens, width,
                                   height, frames, latent_shape, steps, sampler, guidance, shift, fps, seed,
                                   seed_drawn, noise, noise_device, context, latents, loras, made_by, video,
                                   sheet, save, out_scale, overwrite, codec)

namespace {

constexpr const char* kRecord = "sidecar";

}  // namespace

// Names from the model's folder may not be UTF-8.
std::string to_json(const Job& job) {
  nlohmann::json json = job;
  json[kRecord] = job.record;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Job job_from_json(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  Job job = json.get<Job>();
  job.record = json.at(kRecord).get<std::string>();
  return job;
}

}  // namespace ferry::worker
