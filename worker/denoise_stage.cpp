#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <array>

#include "base/clock.h"
#include "model/dit/dit.h"
#include "model/sampler/sampler.h"
#include "model/tensor.h"
#include "worker/activations.h"
#include "worker/noise.h"
#include "worker/stage_weights.h"
#include "worker/stages.h"
#include "worker/step_clock.h"

namespace ferry::worker {
namespace {

// The velocities of the guidance branches at one latent and time, conditional first, on every rank.
class Branches {
 public:
  Branches(const StageInput& input, model::Dit& dit, const std::vector<at::Tensor>& contexts)
      : rank_(*input.rank), dit_(dit), mode_(input.options->parallel.cfg) {
    const bool split = contexts.size() == 2 && mode_ == parallel::CfgMode::Parallel;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      if (!split || static_cast<int>(i) == rank_.mesh.cfg_index)
        contexts_.push_back(dit_.encode_context(contexts[i]));
    }
    for (model::DitContext& context : contexts_) pointers_.push_back(&context);
    split_ = split;
  }

  std::vector<at::Tensor> operator()(const at::Tensor& latent, double timestep) {
    if (split_) return exchange(dit_.forward(latent, timestep, pointers_)[0]);
    if (mode_ == parallel::CfgMode::Paired) return dit_.forward(latent, timestep, pointers_);
    std::vector<at::Tensor> velocities;
    for (model::DitContext*& context : pointers_) {
      velocities.push_back(dit_.forward(latent, timestep, std::span(&context, 1))[0]);
    }
    return velocities;
  }

 private:
  // Each half of the ranks has one branch; all get both.
  std::vector<at::Tensor> exchange(const at::Tensor& mine) {
    const at::Tensor send = mine.contiguous();
    std::vector<std::int64_t> shape = send.sizes().vec();
    shape.insert(shape.begin(), rank_.groups.cfg->size());
    const at::Tensor both = at::empty(shape, send.options());
    rank_.groups.cfg->all_gather(both.mutable_data_ptr(), send.const_data_ptr(), send.nbytes(),
                                 rank_.device->compute());
    return {both[0], both[1]};
  }

  Rank& rank_;
  model::Dit& dit_;
  parallel::CfgMode mode_;
  bool split_ = false;
  std::vector<model::DitContext> contexts_;
  std::vector<model::DitContext*> pointers_;
};

at::Tensor combined(const std::vector<at::Tensor>& velocities, double guidance) {
  if (velocities.size() == 1) return velocities[0];
  return velocities[1] + (velocities[0] - velocities[1]) * guidance;
}

at::Tensor sample(const StageInput& input, Branches& branches, at::Tensor x, StageRecord& record) {
  const Job& job = *input.job;
  model::Sampler sampler = model::make_sampler(job.sampler, job.steps, job.shift);
  input.progress->begin("denoise", job.steps);
  StepClock clock(*input.rank->device, [&] { input.progress->step(); });
  for (int i = 0; i < job.steps; ++i) {
    const TraceScope span(input.rank->trace.get(), Lane::Compute, "step", input.rank->device->compute(), i);
    const std::vector<at::Tensor> velocities = branches(x, sampler.timesteps()[static_cast<std::size_t>(i)]);
    x = sampler.step(i, x, combined(velocities, job.guidance)).contiguous();
    clock.step();
  }
  record.step_s = clock.finish();
  input.progress->end();
  return x;
}

Exposed exposed_copy(const offload::Report& report, int steps) {
  return exposed_of({.ms = report.exposed_copy_ms,
                     .ms_by_place = report.exposed_ms_by_block,
                     .ms_by_pass = report.exposed_ms_by_pass},
                    steps);
}

std::size_t activations(const StageInput& input) {
  const DitActivations how = dit_activations(*input.options, *input.job, input.rank->mesh);
  return activation_bytes(input.networks->facts.dit, *input.job, how, input.networks->dit.compute);
}

}  // namespace

at::Tensor noise_stage(const StageInput& input) {
  const Device& device = *input.rank->device;
  const at::Tensor noise = input.rank->is_first() ? make_noise(*input.job, device).contiguous()
                                                  : model::empty(input.job->latent_shape, DType::F32, device);
  input.rank->groups.data_root->broadcast(noise.mutable_data_ptr(), noise.nbytes(), 0,
                                          input.rank->device->compute());
  return noise;
}

at::Tensor denoise_stage(const StageInput& input, const std::vector<at::Tensor>& contexts,
                         const at::Tensor& noise, StageRecord& record) {
  record.name = "denoise";
  const Clock::time_point begin = Clock::now();
  Rank& rank = *input.rank;
  const Network& network = input.networks->dit;
  LoadedStage stage({&network, &input.options->dit, Runs::Together, activations(input), input.options->lora},
                    rank, *input.progress, record);
  model::DitRuntime runtime;
  runtime.device = rank.device.get();
  runtime.ulysses = rank.groups.ulysses.get();
  runtime.exchange = rank.on_gpu() ? rank.exchange.get() : &rank.session->comm();
  runtime.gate = stage.weights().exchange_gate();
  runtime.compute = network.compute;
  runtime.trace = rank.trace.get();
  at::Tensor latent;
  {
    model::Dit dit(input.networks->facts.dit, stage.weights(), runtime);
    Branches branches(input, dit, contexts);
    latent = sample(input, branches, noise, record);
    record.exposed_exchange = exposed_of(dit.exchange_waits(), input.job->steps);
  }
  stage.finish(record);
  record.exposed_copy = exposed_copy(*record.offload, input.job->steps);
  record.run_s = seconds_since(begin) - record.load_s;
  return latent;
}

}  // namespace ferry::worker
