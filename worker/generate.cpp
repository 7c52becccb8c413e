#include "worker/generate.h"

#include <c10/core/InferenceMode.h>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "parallel/agree.h"
#include "worker/job/noise.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/state/share_state.h"

namespace ferry::worker {
namespace {

std::vector<at::Tensor> on_cpu(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.to(at::kCPU));
  return copies;
}

VideoNeeds needs_of(const StageInput& input, const ByRole<bool>& later) {
  VideoNeeds needs{.now = {}, .later = later};
  for (const RoleEntry& entry : roles()) {
    const bool encodes = entry.role != Role::TextEncoder || encodes_text(input);
    if (encodes && entry.needed(given_to(*input.job))) needs.now[entry.role] = source_of(input, entry.role);
  }
  return needs;
}

// On failure sets made.latents to the last finite ones.
at::Tensor denoised(const StageInput& input, const SamplingState& begin, Generation& made) {
  if (begin.steps_done() == input.job->steps) return begin.latent;
  try {
    return denoise_stage(input, begin, made.stages.emplace_back());
  } catch (const NotFinite& error) {
    input.progress->give_up();
    made.latents = error.latent().to(at::kCPU);
    throw;
  }
}

// The text stage, while the DiT's weights are read.
std::vector<at::Tensor> encoded_prompts(const StageInput& input, Generation& made) {
  // Page-locking blocks other threads from the driver, including the one that encodes.
  const auto pause_pinning = [&](bool paused) {
    offload::NodeArena* arena = input.model->stage(Role::Dit).arena();
    if (input.rank->is_first() && arena != nullptr) arena->pause_pinning(paused);
  };
  std::vector<at::Tensor> contexts = text_stage(input, made.stages.emplace_back(), [&] {
    begin_denoise(input);
    pause_pinning(true);
  });
  pause_pinning(false);
  return contexts;
}

// The state from which denoise goes on, or that in which it begins.
SamplingState first_state(const StageInput& input, const Prepared& prepared, Generation& made) {
  // The noise first: its file may be refused before anything is loaded.
  const at::Tensor noise = draw_noise(input);
  made.noise = noise.to(at::kCPU);
  if (!prepared.resumes) return {.latent = noise, .sampler = {}, .contexts = encoded_prompts(input, made)};
  const UnfinishedRun* unfinished = prepared.unfinished.get();
  return shared_state(*input.rank, unfinished == nullptr ? nullptr : &unfinished->sampling());
}

// With the latent a state of which only decoding is left.
at::Tensor sampled_latents(const StageInput& input, const Prepared& prepared, Generation& made,
                           SamplingState& state) {
  state = first_state(input, prepared, made);
  made.contexts = on_cpu(state.contexts);
  state.latent = denoised(input, state, made);
  state.sampler = {.next_step = input.job->steps, .tensors = {}};
  return state.latent;
}

// Runs on every rank.
at::Tensor latents_of_file(const StageInput& input) {
  Rank& rank = *input.rank;
  at::Tensor latent;
  from_rank_0(*rank.session, [&] {
    latent = read_float_tensor(input.job->latents, "latents").to(model::torch_device(*rank.device));
    return "";
  });
  if (!rank.is_first()) latent = model::empty(input.job->latent_shape, DType::F32, *rank.device);
  rank.groups.data_root->broadcast(latent.mutable_data_ptr(), latent.nbytes(), 0, rank.device->compute());
  if (!all_finite(*rank.device, latent)) {
    throw NotFinite("decode: the latents are not finite: tensor latents of " + input.job->latents);
  }
  return latent;
}

void generate_in_mesh(Engine& engine, const Prepared& prepared, Progress& progress, Generation& made,
                      const Hooks& hooks) {
  Rank& rank = engine.rank();
  const c10::InferenceMode inference;
  const model::TorchStream stream(*rank.device);
  progress.set_heartbeat([&rank] { rank.session->send_heartbeat(); });
  SavePoints saves(*rank.session, hooks.stop, prepared.unfinished.get(), prepared.options.run.save_every);
  const StageInput input{.options = &prepared.options,
                         .job = &prepared.job,
                         .networks = &engine.networks(),
                         .rank = &rank,
                         .model = &engine.model(),
                         .progress = &progress,
                         .frames_made = hooks.frames_made,
                         .text = &prepared.text,
                         .saves = &saves};
  rank.begin(parallel::Stage::Load);
  engine.model().begin_video(needs_of(input, prepared.later));
  SamplingState sampled;
  const at::Tensor latent =
      prepared.job.latents.empty() ? sampled_latents(input, prepared, made, sampled) : latents_of_file(input);
  made.latents = latent.to(at::kCPU);
  if (hooks.before_decode) hooks.before_decode(made.latents);
  try {
    made.frames = decode_stage(input, latent, made.stages.emplace_back());
  } catch (const Stopped&) {
    saves.stop([&] { return on_host(*rank.device, sampled); });
  }
  rank.janitor.begin();  // nothing waits for the device any longer
}

}  // namespace

void generate(Engine& engine, const Prepared& prepared, Progress& progress, Generation& made,
              const Hooks& hooks) {
  engine.join(prepared);
  try {
    generate_in_mesh(engine, prepared, progress, made, hooks);
  } catch (...) {
    engine.leave();
    throw;
  }
}

}  // namespace ferry::worker
