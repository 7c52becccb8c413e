#include "worker/job/resolve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/float_type.h"
#include "checkpoint/formats/safetensors.h"
#include "model/defaults.h"
#include "model/sampler/sampler.h"
#include "model/text/clean.h"
#include "model/text/unicode.h"
#include "model/vae/vae.h"
#include "worker/job/latents.h"
#include "worker/job/outputs.h"

namespace ferry::worker {
namespace {

constexpr int kPatch = 2;                      // latent pixels per token along each edge
constexpr std::int64_t kMostPositions = 1024;  // position embeddings along each axis

// Fills steps, guidance and the other sampling settings.
void fill_sampling(Job& job, const JobOptions& options, const ModelFacts& facts,
                   const model::ModelDefaults& defaults) {
  job.sampler = options.sampler.value_or(std::string(defaults.sampler));
  const bool distilled = job.sampler == "step_distill";
  job.steps = options.steps.value_or(distilled ? 4 : defaults.steps);
  job.guidance = options.guidance.value_or(distilled ? 1.0 : defaults.guidance);
  job.shift = options.shift.value_or(distilled ? 5.0 : facts.flow_shift.value_or(defaults.shift));
  if (!std::isfinite(job.guidance) || job.guidance < 1) {
    throw UserError(fmt::format("guidance {}: it is a number from 1 up; 1 turns guidance off", job.guidance));
  }
  model::make_sampler(job.sampler, job.steps, job.shift);  // validates
}

void fill_size(Job& job, const JobOptions& options, const ModelFacts& facts,
               const model::ModelDefaults& defaults) {
  if (options.width.has_value() != options.height.has_value()) {
    throw UserError("size: width and height go together, as in 832x480");
  }
  job.width = options.width.value_or(defaults.width);
  job.height = options.height.value_or(defaults.height);
  job.frames = options.frames.value_or(defaults.frames);
  const std::int64_t edge = model::spatial_scale(facts.vae) * kPatch;
  if (job.width < edge || job.height < edge || job.width % edge != 0 || job.height % edge != 0) {
    throw UserError(fmt::format("size {}x{}: width and height must be multiples of {}, as in 832x480",
                                job.width, job.height, edge));
  }
  const std::int64_t per = model::temporal_scale(facts.vae);
  if (job.frames < 1 || job.frames % per != 1) {
    const std::int64_t below = job.frames < 1 ? 1 : (job.frames - 1) / per * per + 1;
    throw UserError(fmt::format("frames {}: must be {}n+1, the nearest are {} and {}", job.frames, per, below,
                                below + per));
  }
  job.latent_shape = {facts.dit.in_channels, (job.frames - 1) / per + 1,
                      job.height / model::spatial_scale(facts.vae),
                      job.width / model::spatial_scale(facts.vae)};
  if (job.width / edge > kMostPositions || job.height / edge > kMostPositions ||
      job.latent_shape[1] > kMostPositions) {
    throw UserError(fmt::format(
        "size {}x{}, {} frames: the model counts up to {} pixels along an edge and {} frames", job.width,
        job.height, job.frames, kMostPositions * edge, (kMostPositions - 1) * per + 1));
  }
}

void fill_prompts(Job& job, const JobOptions& options, const model::ModelDefaults& defaults) {
  job.prompt = options.prompt;
  job.negative_prompt = options.negative_prompt.value_or(std::string(defaults.negative_prompt));
  job.context = options.context;
  for (const auto& [name, text] :
       {std::pair("prompt", &job.prompt), {"negative_prompt", &job.negative_prompt}}) {
    if (model::first_not_utf8(*text) != std::string::npos)
      throw UserError(fmt::format("{}: it is not UTF-8 text", name));
  }
  if (job.context.empty() && model::is_blank_prompt(job.prompt))
    throw UserError("prompt: it is empty; say what to make, as in --prompt \"a boat\"");
}

void fill_seed(Job& job, const JobOptions& options) {
  job.seed = options.seed;
  job.seed_drawn = options.seed == -1;
  if (options.seed < -1)
    throw UserError(fmt::format("seed {}: it is a number from 0 up, or -1 to draw one", job.seed));
  // 32 bits: short enough to type again.
  if (job.seed_drawn) job.seed = std::random_device{}();
}

void fill_noise(Job& job, const JobOptions& options, bool device_is_cuda) {
  job.noise = options.noise;
  const std::string own = device_is_cuda ? "cuda" : "cpu";
  job.noise_device = !job.noise.empty()               ? "file"
                     : options.noise_device == "auto" ? own
                                                      : options.noise_device;
  if (job.noise_device == "cuda" && !device_is_cuda) {
    throw UserError("noise_device cuda: this run is on the CPU; accepted: auto, cpu");
  }
  if (job.noise_device != "file" && job.noise_device != "cuda" && job.noise_device != "cpu") {
    throw UserError(fmt::format("noise_device {}: accepted: auto, cpu, cuda", job.noise_device));
  }
}

void check_noise_file(const Job& job) {
  const auto file = checkpoint::SafetensorsFile::open(job.noise);
  const checkpoint::TensorEntry& noise = file.at("noise");
  const std::vector<std::int64_t> wanted(job.latent_shape.begin(), job.latent_shape.end());
  if (noise.shape != wanted || !is_unscaled_float(noise.dtype)) {
    throw UserError(fmt::format("noise {}: tensor `noise` is [{}] {}, this job needs [{}] fp32", job.noise,
                                fmt::join(noise.shape, ", "), name_of(noise.dtype), fmt::join(wanted, ", ")));
  }
}

void check_context(const std::string& path, const checkpoint::TensorEntry& rows,
                   const model::DitConfig& dit) {
  const bool fits = rows.shape.size() == 2 && rows.shape[1] == dit.text_dim && rows.shape[0] >= 1 &&
                    rows.shape[0] <= dit.text_len && is_unscaled_float(rows.dtype);
  if (!fits) {
    throw UserError(fmt::format("context {}: tensor `{}` is [{}] {}, this model needs [1 to {}, {}] fp32",
                                path, rows.source_key, fmt::join(rows.shape, ", "), name_of(rows.dtype),
                                dit.text_len, dit.text_dim));
  }
}

void check_context_file(const Job& job, const model::DitConfig& dit) {
  const auto file = checkpoint::SafetensorsFile::open(job.context);
  check_context(job.context, file.at("positive"), dit);
  if (job.guided()) check_context(job.context, file.at("negative"), dit);
}

void check_networks(const ModelFacts& facts) {
  const auto disagree = [](const char* what, std::int64_t a, std::int64_t b) {
    if (a != b)
      throw UserError(
          fmt::format("checkpoint: {} differ: {} and {}; its parts are of different models", what, a, b));
  };
  disagree("latent channels of DiT and VAE", facts.dit.in_channels, facts.vae.z_dim);
  disagree("input and output channels of the DiT", facts.dit.in_channels, facts.dit.out_channels);
  if (facts.text) disagree("text dimensions of DiT and text encoder", facts.dit.text_dim, facts.text->dim);
}

// A job for --latents: nothing is sampled.
Job decoding_job(const JobOptions& options, const ModelFacts& facts) {
  Job job;
  take_latents(job, options, facts.vae);
  name_outputs(job, options);
  return job;
}

void fill_steps(Job& job, const JobOptions& options, const ModelFacts& facts, bool device_is_cuda) {
  const model::ModelDefaults defaults = model::default_job(facts.dit);
  fill_size(job, options, facts, defaults);
  fill_sampling(job, options, facts, defaults);
  fill_seed(job, options);
  fill_noise(job, options, device_is_cuda);
  if (!job.noise.empty()) check_noise_file(job);
  job.loras = options.loras;
}

}  // namespace

Job resolve_steps(const JobOptions& options, const ModelFacts& facts, bool device_is_cuda) {
  Job job;
  fill_steps(job, options, facts, device_is_cuda);
  return job;
}

Job resolve_job(const JobOptions& options, const ModelFacts& facts, bool device_is_cuda) {
  if (!options.latents.empty()) return decoding_job(options, facts);
  check_networks(facts);
  const model::ModelDefaults defaults = model::default_job(facts.dit);
  Job job;
  job.fps = defaults.fps;
  fill_prompts(job, options, defaults);
  fill_steps(job, options, facts, device_is_cuda);
  if (!job.context.empty()) check_context_file(job, facts.dit);
  name_outputs(job, options);
  return job;
}

}  // namespace ferry::worker
