#include <fmt/format.h>

#include "base/clock.h"
#include "model/vae/vae.h"
#include "worker/cores.h"
#include "worker/stages/decoded_frames.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/stages/vae_runtime.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

// Decodes again up to latent frame `last`, to find where values stop being finite.  On every rank that
// decodes; the first returns the answer.
std::string cause(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
                  std::int64_t last) {
  // Checks: the latent, the first convolution, the units, the head.
  const std::size_t looks = static_cast<std::size_t>(last + 1) * (weights.spec().blocks.size() + 3);
  Rank& rank = *input.rank;
  FiniteTrail trail(*rank.device, looks);
  model::VaeRuntime runtime = vae_runtime(input);
  runtime.tap = trail.tap();
  model::VaeDecoder decoder(input.networks->facts.vae, weights, runtime);
  decoder.decode(latent.narrow(1, 0, last + 1),
                 [&](std::int64_t, const at::Tensor&) { rank.session->send_heartbeat(); });
  const std::optional<Place> place = runtime.group != nullptr ? trail.first(*rank.session) : trail.first();
  return rank.is_first() ? begun_at(place, "", weights) : "";
}

// Result of the first rank: frames, or an error.
struct Decoded {
  at::Tensor frames;
  std::string failure;
};

constexpr const char* kStopped = "stopped";  // in place of an error

// Throws Stopped on all ranks that decode if one of them was asked to.
void look_for_stop(const StageInput& input) {
  if (input.saves == nullptr) return;
  const bool together = decoding_group(input) != nullptr;
  if (together ? input.saves->stop_agreed() : input.saves->stop_asked()) throw Stopped();
}

// `chunk` counts finished latent frames.  Throws NotFinite and Stopped, on all ranks that decode.
at::Tensor decode_chunks(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
                         StageRecord& record, std::int64_t& chunk) {
  Clock::time_point begin = Clock::now();
  const auto done = [&](const FrameChunk& part) {
    if (!part.finite) {
      throw NotFinite(fmt::format("decode: frames {} to {} of {} are not finite", part.first + 1,
                                  part.first + part.frames, input.job->frames));
    }
    if (part.rgb.defined() && input.frames_made) input.frames_made(part.rgb);
    ++chunk;
    record.step_s.push_back(seconds_since(begin));
    begin = Clock::now();
    input.progress->step();
    look_for_stop(input);
  };
  at::Tensor whole;
  DecodedFrames frames(*input.rank, decoding_group(input), *input.job, done);
  const TraceScope span(input.rank->trace.get(), Lane::Compute, "decode", input.rank->device->compute());
  model::VaeDecoder decoder(input.networks->facts.vae, weights, vae_runtime(input));
  speak_first(*input.rank, [&] {
    decoder.decode(latent, [&](std::int64_t first, const at::Tensor& part) { frames.take(first, part); });
    whole = frames.finish();
  });
  return whole;
}

// Runs on the ranks that decode.
Decoded decode(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
               StageRecord& record) {
  const bool alone = decoding_group(input) == nullptr;
  const ThreadScope threads(
      threads_of_ranks(input.rank->on_gpu() || !alone ? 1 : input.rank->session->node_size()));
  input.progress->begin("decode", latent.size(1));
  std::int64_t chunk = 0;
  try {
    Decoded decoded{decode_chunks(input, weights, latent, record, chunk), {}};
    input.progress->end();
    return decoded;
  } catch (const Stopped&) {
    input.progress->give_up();
    return {{}, kStopped};
  } catch (const NotFinite& error) {
    input.progress->give_up();
    input.rank->session->send_heartbeat();
    return {{}, error.what() + (": " + cause(input, weights, latent, chunk))};
  }
}

}  // namespace

at::Tensor decode_stage(const StageInput& input, const at::Tensor& latent, StageRecord& record) {
  record.name = "decode";
  const Clock::time_point begin = Clock::now();
  const StageSource source = source_of(input, Role::Vae);
  BorrowedStage stage(*input.model, source, *input.progress, record);
  if (input.saves != nullptr) input.saves->begin();
  Decoded decoded;
  input.rank->begin(parallel::Stage::Decode);
  speak_first(*input.rank, [&] {
    if (source.runs == Runs::AllRanks || input.rank->is_first())
      decoded = decode(input, stage.weights(), latent, record);
  });
  const std::string failure = input.rank->session->broadcast(decoded.failure, 0);
  stage.finish(record);
  if (failure == kStopped) throw Stopped();
  if (!failure.empty()) throw NotFinite(failure);
  record.run_s = seconds_since(begin) - record.load_s;
  return decoded.frames;
}

}  // namespace ferry::worker
