#include <ATen/ops/empty.h>

#include "base/clock.h"
#include "model/vae/vae.h"
#include "worker/activations.h"
#include "worker/cores.h"
#include "worker/output/frames.h"
#include "worker/stage_weights.h"
#include "worker/stages.h"

namespace ferry::worker {
namespace {

at::Tensor decode(const StageInput& input, offload::StageWeights& weights, const at::Tensor& latent,
                  StageRecord& record) {
  const Job& job = *input.job;
  const AllCores cores(input.rank->on_gpu() ? 1 : input.rank->session->node_size());
  const at::Tensor frames = at::empty({job.frames, job.height, job.width, 3}, at::kByte);
  Clock::time_point begin = Clock::now();
  const auto sink = [&](std::int64_t first, const at::Tensor& decoded) {
    frames.narrow(0, first, decoded.size(1)).copy_(to_rgb8(decoded));
    record.step_s.push_back(seconds_since(begin));
    begin = Clock::now();
    input.progress->step();
    input.rank->session->send_sign_of_life();
  };
  const model::VaeRuntime runtime{.device = input.rank->device.get(), .compute = input.networks->vae.compute};
  const TraceScope span(input.rank->trace.get(), Lane::Compute, "decode", input.rank->device->compute());
  model::vae_decode(input.networks->facts.vae, weights, latent, runtime, sink);
  return frames;
}

}  // namespace

at::Tensor decode_stage(const StageInput& input, const at::Tensor& latent, StageRecord& record) {
  record.name = "decode";
  const Clock::time_point begin = Clock::now();
  const Network& vae = input.networks->vae;
  LoadedStage stage({&vae, &input.options->vae, Runs::Alone,
                     activation_bytes(input.networks->facts.vae, *input.job, vae.compute)},
                    *input.rank, *input.progress, record);
  at::Tensor frames;
  if (input.rank->is_first()) {
    input.progress->begin("decode", latent.size(1));
    frames = decode(input, stage.weights(), latent, record);
    input.progress->end();
  }
  input.rank->session->barrier();
  stage.finish(record);
  record.run_s = seconds_since(begin) - record.load_s;
  return frames;
}

}  // namespace ferry::worker
