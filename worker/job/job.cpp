#include "worker/job/job.h"

#include <nlohmann/json.hpp>

namespace ferry::worker {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VideoCodec, encoder, extension)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TokenCount, total, used)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Job, prompt, negative_prompt, prompt_tokens, negative_prompt_tokens, width,
                                   height, frames, latent_shape, steps, sampler, guidance, shift, fps, seed,
                                   seed_drawn, noise, noise_device, context, latents, made_by, video, sheet,
                                   sidecar, save, out_scale, overwrite, codec)

// The model's folder may have given names that are not UTF-8.
std::string to_json(const Job& job) {
  return nlohmann::json(job).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Job job_from_json(const std::string& text) { return nlohmann::json::parse(text).get<Job>(); }

}  // namespace ferry::worker
