#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "model/vae/vae.h"
#include "worker/activations.h"
#include "worker/cores.h"
#include "worker/not_finite.h"
#include "worker/output/frames.h"
#include "worker/stage_weights.h"
#include "worker/stages.h"

namespace ferry::worker {
namespace {

model::VaeRuntime runtime_of(const StageInput& input) {
  return {.device = input.rank->device.get(), .compute = input.networks->vae.compute, .tap = {}};
}

// Decodes once more up to latent frame `last`, to find where values stop being finite.
std::string cause(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
                  std::int64_t last) {
  // The latent, the first convolution, the units, the head.
  const std::size_t looks = static_cast<std::size_t>(last + 1) * (weights.spec().blocks.size() + 3);
  FiniteTrail trail(*input.rank->device, looks);
  model::VaeRuntime runtime = runtime_of(input);
  runtime.tap = trail.tap();
  model::vae_decode(input.networks->facts.vae, weights, latent.narrow(1, 0, last + 1), runtime,
                    [&](std::int64_t, const at::Tensor&) { input.rank->session->send_sign_of_life(); });
  return begun_at(trail.first(), "", weights);
}

// What the first rank has to tell: frames, or why there are none.
struct Decoded {
  at::Tensor frames;
  std::string failure;
};

// `chunk` counts the latent frames that are done.  Throws NotFinite, on this rank alone.
at::Tensor decode_chunks(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
                         StageRecord& record, std::int64_t& chunk) {
  const Job& job = *input.job;
  const at::Tensor frames = at::empty({job.frames, job.height, job.width, 3}, at::kByte);
  FiniteFlags flags(*input.rank->device, static_cast<std::size_t>(latent.size(1)));
  Clock::time_point begin = Clock::now();
  const auto sink = [&](std::int64_t first, const at::Tensor& decoded) {
    const std::int64_t count = decoded.size(1);
    flags.look(static_cast<std::size_t>(chunk), decoded);
    frames.narrow(0, first, count).copy_(to_rgb8(decoded));  // waits, for the look too
    if (!flags.finite(static_cast<std::size_t>(chunk))) {
      throw NotFinite(
          fmt::format("decode: frames {} to {} of {} are not finite", first + 1, first + count, job.frames));
    }
    ++chunk;
    record.step_s.push_back(seconds_since(begin));
    begin = Clock::now();
    input.progress->step();
    input.rank->session->send_sign_of_life();
  };
  const TraceScope span(input.rank->trace.get(), Lane::Compute, "decode", input.rank->device->compute());
  model::vae_decode(input.networks->facts.vae, weights, latent, runtime_of(input), sink);
  return frames;
}

// On the first rank.
Decoded decode(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
               StageRecord& record) {
  const AllCores cores(input.rank->on_gpu() ? 1 : input.rank->session->node_size());
  input.progress->begin("decode", latent.size(1));
  std::int64_t chunk = 0;
  try {
    Decoded decoded{decode_chunks(input, weights, latent, record, chunk), {}};
    input.progress->end();
    return decoded;
  } catch (const NotFinite& error) {
    input.progress->give_up();
    input.rank->session->send_sign_of_life();
    return {{}, error.what() + (": " + cause(input, weights, latent, chunk))};
  }
}

}  // namespace

at::Tensor decode_stage(const StageInput& input, const at::Tensor& latent, StageRecord& record) {
  record.name = "decode";
  const Clock::time_point begin = Clock::now();
  const Network& vae = input.networks->vae;
  LoadedStage stage({&vae, &input.options->vae, Runs::Alone,
                     activation_bytes(input.networks->facts.vae, *input.job, vae.compute)},
                    *input.rank, *input.progress, record);
  Decoded decoded;
  if (input.rank->is_first()) decoded = decode(input, stage.weights(), latent, record);
  const std::string failure = input.rank->session->broadcast(decoded.failure, 0);
  stage.finish(record);
  if (!failure.empty()) throw NotFinite(failure);
  record.run_s = seconds_since(begin) - record.load_s;
  return decoded.frames;
}

}  // namespace ferry::worker
