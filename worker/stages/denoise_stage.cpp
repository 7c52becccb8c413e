#include "base/clock.h"
#include "model/dit/dit.h"
#include "model/sampler/sampler.h"
#include "model/tensor.h"
#include "offload/arena/layout.h"
#include "parallel/agree.h"
#include "worker/job/noise.h"
#include "worker/stages/branches.h"
#include "worker/stages/device_marks.h"
#include "worker/stages/latent_watch.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/stages/step_clock.h"
#include "worker/stages/warm_up.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

// Between steps i and i + 1.  The host of a GPU is ahead of it: there step i has just been queued, and what
// can be saved is the result of the one before.
void save_if_due(const Denoising& denoising, const SamplingState& now, const LatentWatch& watch, int first) {
  const StageInput& input = denoising.input;
  if (input.saves == nullptr) return;
  const bool ahead = input.rank->on_gpu();
  const int i = now.steps_done() - 1;
  const int done = ahead ? i : i + 1;
  if (done == first) return;
  if (!ahead) watch.check(i, denoising);
  input.saves->between_steps(done, [&] {
    if (!ahead) return on_host(*input.rank->device, now);
    return on_host(*input.rank->device, {watch.start(i).x, watch.start(i).sampler, now.contexts});
  });
}

at::Tensor run_steps(const Denoising& denoising, const SamplingState& begin, LatentWatch& watch,
                     StepClock& clock) {
  const StageInput& input = denoising.input;
  const Job& job = *input.job;
  const int first = begin.steps_done();
  model::Sampler sampler = model::make_sampler(job.sampler, job.steps, job.shift);
  sampler.restore(begin.sampler);
  if (input.saves != nullptr) input.saves->begin();
  at::Tensor x = begin.latent;
  for (int i = first; i < job.steps; ++i) {
    input.rank->ticks().step(i + 1);
    const TraceScope span(input.rank->trace.get(), Lane::Compute, "step", input.rank->device->compute(), i);
    watch.begins(i, x, sampler);
    const std::vector<at::Tensor> velocities =
        denoising.branches(x, sampler.timesteps()[static_cast<std::size_t>(i)]);
    x = sampler.step(i, x, combined(velocities, job.guidance)).contiguous();
    watch.ends(i, x);
    clock.step();
    if (i > first) watch.check(i - 1, denoising);
    save_if_due(denoising, {x, sampler.state(), begin.contexts}, watch, first);
  }
  return x;
}

at::Tensor sample(const Denoising& denoising, const SamplingState& begin, DeviceMarks& marks,
                  StageRecord& record) {
  const StageInput& input = denoising.input;
  const Job& job = *input.job;
  const Rank& rank = *input.rank;
  LatentWatch watch(*rank.device, job.steps);
  input.progress->begin("denoise", job.steps - begin.steps_done());
  StepClock clock(
      *rank.device, [&](const Event& event) { rank.wait_for(event, [&] { return marks.look(); }); },
      [&] {
        rank.note_memory();
        input.progress->step();
      });
  at::Tensor latent;
  speak_first(rank, [&] {
    latent = run_steps(denoising, begin, watch, clock);
    record.step_s = clock.finish();
    watch.check(job.steps - 1, denoising);
  });
  input.progress->end();
  return latent;
}

// Of decoding too, if the weights are still being read.
void warm_up_both(const StageInput& input, const SamplingState& state, bool reading) {
  Rank& rank = *input.rank;
  const auto of_role = [&](Role role, const std::function<void(const StageSource&)>& work) {
    const StageSource source = source_of(input, role);
    const ExplainsDeviceFull explains(rank, source, input.model->stage(role));
    speak_first(rank, [&] { work(source); });
  };
  if (rank.session->all_agree(reading)) of_role(Role::Vae, [&](auto&) { warm_up_decoding(input); });
  of_role(Role::Dit, [&](const StageSource& source) {
    warm_up(input, state.contexts, state.latent, source.activation_bytes);
  });
}

// The runtime of the stage; on a GPU the device marks its blocks, on the CPU the host's ticks will do.
model::DitRuntime denoise_runtime(const StageInput& input, parallel::ExchangeGate* gate, DeviceMarks& marks) {
  Rank& rank = *input.rank;
  model::DitRuntime runtime = rank.dit_runtime(input.network(Role::Dit).compute, gate);
  if (rank.on_gpu()) {
    runtime.after_block = [&rank, &marks](int block) {
      parallel::Where where = rank.ticks().where();
      where.block = block;
      marks.put(where);
    };
  }
  return runtime;
}

Exposed exposed_copy(const offload::Report& report, int steps) {
  return exposed_of({.ms = report.exposed_copy_ms,
                     .ms_by_place = report.exposed_ms_by_block,
                     .ms_by_pass = report.exposed_ms_by_pass},
                    steps);
}

}  // namespace

void begin_denoise(const StageInput& input) {
  // On the CPU a strategy may make another copy of the encoder's weights.
  std::size_t beside = 0;
  const Network* text = needed_network(*input.networks, Role::TextEncoder, given_to(*input.job));
  if (text != nullptr && !input.rank->on_gpu()) beside = offload::arena_layout(text->spec, 1).bytes;
  input.model->begin_if_room(source_of(input, Role::Dit), beside);
}

at::Tensor draw_noise(const StageInput& input) {
  const Device& device = *input.rank->device;
  at::Tensor noise;
  from_rank_0(*input.rank->session, [&] {
    noise = make_noise(*input.job, device).contiguous();
    return "";
  });
  if (!input.rank->is_first()) noise = model::empty(input.job->latent_shape, DType::F32, device);
  input.rank->groups.data_root->broadcast(noise.mutable_data_ptr(), noise.nbytes(), 0,
                                          input.rank->device->compute());
  if (!all_finite(*input.rank->device, noise))
    throw NotFinite("denoise: the noise is not finite: " + noise_source(*input.job));
  return noise;
}

at::Tensor denoise_stage(const StageInput& input, const SamplingState& state, StageRecord& record) {
  record.name = "denoise";
  const Clock::time_point begin = Clock::now();
  const int steps = input.job->steps - state.steps_done();
  Rank& rank = *input.rank;
  const StageSource source = source_of(input, Role::Dit);
  input.model->make_device_room(source);
  input.model->begin(source);
  // Little to warm up on the CPU, which the loading threads need; nor is there time if the weights are ready.
  if (rank.on_gpu() && !input.model->stage(Role::Dit).filled) {
    const offload::NodeArena* arena = input.model->stage(Role::Dit).arena();
    const bool reading = arena == nullptr || !arena->filled();
    warm_up_both(input, state, reading);
    record.warm_up_s = seconds_since(begin);
  }
  BorrowedStage stage(*input.model, source, *input.progress, record);
  rank.begin(parallel::Stage::Denoise);
  // The host queues a step while the device computes the one before, each of one or two forwards.
  const std::size_t marks_ahead =
      rank.on_gpu() ? 4 * static_cast<std::size_t>(input.networks->facts.dit.layers) : 0;
  DeviceMarks marks(*rank.device, rank.ticks(), marks_ahead);
  at::Tensor latent;
  {
    model::Dit dit(input.networks->facts.dit, stage.weights(),
                   denoise_runtime(input, stage.weights().exchange_gate(), marks));
    Branches branches(input, dit, state.contexts);
    latent = sample({input, stage.weights(), dit, branches}, state, marks, record);
    record.exposed_exchange = exposed_of(dit.exchange_waits(), steps);
  }
  stage.finish(record);
  record.exposed_copy = exposed_copy(*record.offload, steps);
  record.run_s = seconds_since(begin) - record.load_s;
  return latent;
}

}  // namespace ferry::worker
