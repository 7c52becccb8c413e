#include "worker/generate.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "model/torch_stream.h"
#include "worker/agree.h"
#include "worker/fit_offload.h"
#include "worker/lora.h"
#include "worker/memory_check.h"
#include "worker/not_finite.h"
#include "worker/output/files.h"
#include "worker/prompts.h"
#include "worker/stages.h"

namespace ferry::worker {
namespace {

parallel::Mesh mesh_of(const Options& options, const Networks& networks, const parallel::Session& session) {
  return parallel::make_mesh(options.parallel, session.size(), session.rank(),
                             static_cast<int>(networks.facts.dit.heads));
}

// The timeline is written last and would replace a result of that name.
void check_trace(const std::string& file, const Job& job) {
  if (file.empty()) return;
  check_can_write(file, true);
  for (const std::string& result : {job.video, job.sheet, job.sidecar, job.save}) {
    if (!result.empty() &&
        std::filesystem::weakly_canonical(file) == std::filesystem::weakly_canonical(result)) {
      throw UserError("trace.file " + file + ": this run writes its result there; accepted: another name");
    }
  }
}

// What one rank can find out for all.
Job checked_job(const Options& options, const Networks& networks, const Device& device,
                const parallel::Session& session, const std::vector<RankMemory>& memory) {
  const parallel::Mesh mesh = mesh_of(options, networks, session);
  if (mesh.data > 1) {
    throw UserError(fmt::format("data {}: not yet: one run makes one video, so data must be 1", mesh.data));
  }
  Job job = resolve_job(options.job, networks.facts, device.type() == DeviceType::Cuda);
  check_trace(options.trace_file, job);
  if (mesh.cfg == 2 && !job.guided()) {
    throw UserError(
        "cfg parallel: guidance 1 has one branch, which leaves half of the ranks without work; "
        "accepted: serial, paired, or another guidance");
  }
  if (networks.dit.lora) check_wrappers(*networks.dit.lora, networks.dit.spec, options.dit);
  check_memory(options, job, networks, {memory, mesh});
  return job;
}

std::vector<at::Tensor> on_cpu(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.to(at::kCPU));
  return copies;
}

// On failure made.latents becomes the last that were finite.
at::Tensor denoised(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
                    Generation& made) {
  try {
    return denoise_stage(input, contexts, noise, made.stages[1]);
  } catch (const NotFinite& error) {
    input.progress->give_up();
    made.latents = error.latent().to(at::kCPU);
    throw;
  }
}

}  // namespace

Prepared prepare(const Options& given, parallel::Session& session) {
  Prepared prepared;
  prepared.options = given;
  Options& options = prepared.options;
  const auto open = [&] {
    prepared.networks = open_networks(given);
    return fit_offload(options, prepared.networks, session.size(), session.node_size());
  };
  std::unique_ptr<Device> device = make_device(given.model.device, session);
  const std::vector<RankMemory> memory = memory_of_ranks(session, *device);
  const std::string job = from_rank_0(session, [&] {
    std::vector<std::string> notes = open();
    Job job = checked_job(options, prepared.networks, *device, session, memory);
    const std::vector<std::string> cuts = count_tokens(job, prepared.networks);
    notes.insert(notes.end(), cuts.begin(), cuts.end());
    // Last: a refusal is one line.
    for (const std::string& note : notes) spdlog::warn("{}", note);
    return to_json(job);
  });
  prepared.job = job_from_json(job);
  agree(session, [&] {
    if (session.rank() != 0) open();
  });
  prepared.rank = make_rank(std::move(device), mesh_of(options, prepared.networks, session), session);
  if (!options.trace_file.empty()) prepared.rank->trace = std::make_unique<Trace>(*prepared.rank->device);
  return prepared;
}

void generate(const Options& options, Prepared& prepared, Progress& progress, Generation& made) {
  const c10::InferenceMode inference;
  const model::TorchStream stream(*prepared.rank->device);
  const StageInput input{.options = &options,
                         .job = &prepared.job,
                         .networks = &prepared.networks,
                         .rank = prepared.rank.get(),
                         .progress = &progress};
  made.stages.resize(3);
  // The noise first: a file of it may be refused before anything is loaded.
  const at::Tensor noise = noise_stage(input);
  made.noise = noise.to(at::kCPU);
  const std::vector<at::Tensor> contexts = text_stage(input, made.stages[0]);
  made.contexts = on_cpu(contexts);
  const at::Tensor latent = denoised(input, contexts, noise, made);
  made.latents = latent.to(at::kCPU);
  made.frames = decode_stage(input, latent, made.stages[2]);
}

}  // namespace ferry::worker
