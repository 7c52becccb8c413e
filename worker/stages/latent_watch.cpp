#include "worker/stages/latent_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/stages/not_finite.h"

namespace ferry::worker {
namespace {

// Names of the checks after the forwards.
constexpr std::string_view kVelocity = "velocity";
constexpr std::string_view kGuidance = "guidance";
constexpr std::string_view kSampler = "sampler";
constexpr int kStep = model::ModuleId::kTail;

// Checks in the repeat of a step: per branch the context, three embeddings, five per block, the head and the
// velocity; guidance and sampler.
std::size_t most_looks(const Job& job, std::int64_t layers) {
  const std::int64_t branches = job.guided() ? 2 : 1;
  return static_cast<std::size_t>(branches * (6 + 5 * layers) + 2);
}

bool uses_loras(const Job& job) {
  return std::ranges::any_of(job.loras, [](const LoraChoice& each) { return each.strength != 0; });
}

std::string words(const std::optional<Place>& place, const Denoising& denoising) {
  const Job& job = *denoising.input.job;
  if (place && place->part == kVelocity)
    return "the network's output is finite, and not when it was gathered";
  if (place && place->part == kGuidance)
    return fmt::format("the branches are finite, guidance {} between them is not", job.guidance);
  if (place && place->part == kSampler) return "the network's output is finite, the sampler's step is not";
  const bool one_of_two = place && job.guided();
  return begun_at(place, one_of_two ? branch_name(place->turn) : "", denoising.weights) +
         (uses_loras(*denoising.input.job) ? "; a LoRA is in use" : "");
}

}  // namespace

void LatentWatch::begins(int i, const at::Tensor& x, const model::Sampler& sampler) {
  starts_.at(static_cast<std::size_t>(i % 2)) = {x, sampler.state()};
}

std::string LatentWatch::cause(int i, const Denoising& denoising) const {
  const StageInput& input = denoising.input;
  const Job& job = *input.job;
  FiniteTrail trail(*input.rank->device, most_looks(job, input.networks->facts.dit.layers),
                    denoising.branches.first());
  for (const model::DitContext& context : denoising.branches.mine())
    trail.look("text_embedding", model::ModuleId::kHead, context.text);
  model::Sampler sampler = model::make_sampler(job.sampler, job.steps, job.shift);
  sampler.restore(start(i).sampler);
  denoising.dit.set_tap(trail.tap());
  const auto velocities = denoising.branches(start(i).x, sampler.timesteps()[static_cast<std::size_t>(i)]);
  denoising.dit.set_tap({});
  for (const at::Tensor& velocity : velocities) trail.look(kVelocity, kStep, velocity);
  const at::Tensor velocity = combined(velocities, job.guidance);
  trail.look(kGuidance, kStep, velocity);
  trail.look(kSampler, kStep, sampler.step(i, start(i).x, velocity));
  const std::optional<Place> place = trail.first(*input.rank->session);
  return input.rank->session->broadcast(input.rank->is_first() ? words(place, denoising) : "", 0);
}

void LatentWatch::check(int i, const Denoising& denoising) const {
  if (flags_.finite(static_cast<std::size_t>(i))) return;
  const std::string what = fmt::format("denoise: the latent is not finite after step {} of {}: {}", i + 1,
                                       denoising.input.job->steps, cause(i, denoising));
  throw NotFinite(what, start(i).x, i == 0 ? "the noise" : fmt::format("of step {}", i));
}

}  // namespace ferry::worker
