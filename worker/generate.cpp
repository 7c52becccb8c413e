#include "worker/generate.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "parallel/agree.h"
#include "worker/job/fit_offload.h"
#include "worker/job/guidance.h"
#include "worker/job/memory_check.h"
#include "worker/job/noise.h"
#include "worker/job/prompts.h"
#include "worker/stages/attention.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/weights/lora.h"

namespace ferry::worker {
namespace {

parallel::Mesh mesh_of(const Options& options, const Networks& networks, const parallel::Session& session) {
  // Without a DiT any number of ranks will do.
  const int heads = networks[Role::Dit] ? static_cast<int>(networks.facts.dit.heads) : session.size();
  return parallel::make_mesh(options.parallel, session.size(), session.rank(), heads);
}

// What one rank can find out for all: the job, and the mode that parallel.cfg = auto means for it.
void check_job(Prepared& prepared, const Device& device, const parallel::Session& session,
               const std::vector<RankMemory>& memory) {
  Options& options = prepared.options;
  const Networks& networks = prepared.networks;
  const Job& job = prepared.job = resolve_job(options.job, networks.facts, device.type() == DeviceType::Cuda);
  prepared.cfg = decide_cfg(options, job, networks, memory);
  options.parallel.cfg = prepared.cfg.mode;
  const parallel::Mesh mesh = mesh_of(options, networks, session);
  if (mesh.data > 1) {
    throw UserError(fmt::format("data {}: not yet: one run makes one video, so data must be 1", mesh.data));
  }
  const std::optional<Network>& dit = networks[Role::Dit];
  if (mesh.cfg == 2 && dit && !job.guided()) {
    throw UserError(
        "cfg parallel: guidance 1 has one branch, which leaves half of the ranks without work; "
        "accepted: auto, serial, paired, or another guidance");
  }
  if (dit && dit->lora) check_wrappers(*dit->lora, dit->plan);
  check_memory(options, job, networks, {memory, mesh});
}

// parallel.cfg of rank 0, on every rank.  Collective over the world.
parallel::CfgMode cfg_of_rank_0(const Options& options, parallel::Session& session) {
  const std::string mode = session.broadcast(std::to_string(static_cast<int>(options.parallel.cfg)), 0);
  return static_cast<parallel::CfgMode>(std::stoi(mode));
}

std::vector<at::Tensor> on_cpu(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.to(at::kCPU));
  return copies;
}

// On failure made.latents becomes the last that were finite.
at::Tensor denoised(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
                    StageLoad begun, Generation& made) {
  try {
    return denoise_stage(input, contexts, noise, made.stages[1], std::move(begun));
  } catch (const NotFinite& error) {
    input.progress->give_up();
    made.latents = error.latent().to(at::kCPU);
    throw;
  }
}

at::Tensor sampled_latents(const StageInput& input, Generation& made) {
  made.stages.resize(2);
  // The noise first: a file of it may be refused before anything is loaded.
  const at::Tensor noise = noise_stage(input);
  made.noise = noise.to(at::kCPU);
  StageLoad dit;
  // To lock a page keeps other threads out of the driver, the one that encodes too.
  const auto pause_pinning = [&](bool paused) {
    if (input.rank->is_first() && dit.arena != nullptr) dit.arena->pause_pinning(paused);
  };
  const std::vector<at::Tensor> contexts = text_stage(input, made.stages[0], [&] {
    dit = begin_denoise(input);
    pause_pinning(true);
  });
  pause_pinning(false);
  made.contexts = on_cpu(contexts);
  return denoised(input, contexts, noise, std::move(dit), made);
}

// On every rank.
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
    check_job(prepared, *device, session, memory);
    const std::vector<std::string> cuts = count_tokens(prepared.job, prepared.networks);
    notes.insert(notes.end(), cuts.begin(), cuts.end());
    prepared.names = hold_names(options, prepared.job);
    // Last: a refusal is one line.
    for (const std::string& note : notes) spdlog::warn("{}", note);
    return to_json(prepared.job);
  });
  // JSON is UTF-8; the first rank, which reads and writes the files, keeps their names as they are.
  if (session.rank() != 0) prepared.job = job_from_json(job);
  agree(session, [&] {
    if (session.rank() != 0) open();
  });
  options.parallel.cfg = cfg_of_rank_0(options, session);
  prepared.rank = make_rank(std::move(device), mesh_of(options, prepared.networks, session),
                            options.parallel.exchange, session);
  if (const std::optional<Network>& dit = prepared.networks[Role::Dit]) {
    prepared.rank->attention =
        choose_attention(options.attention, dit->compute, prepared.networks.facts.dit.head_dim(),
                         *prepared.rank->device, session);
  }
  if (!options.trace_file.empty()) prepared.rank->trace = std::make_unique<Trace>(*prepared.rank->device);
  return prepared;
}

std::string attention_name(const Prepared& prepared) {
  const std::optional<Network>& dit = prepared.networks[Role::Dit];
  if (!dit) return {};
  return name_of(prepared.rank->attention, dit->compute, prepared.networks.facts.dit.head_dim(),
                 *prepared.rank->device);
}

void generate(const Options& options, Prepared& prepared, Progress& progress, Generation& made,
              const Hooks& hooks) {
  const c10::InferenceMode inference;
  const model::TorchStream stream(*prepared.rank->device);
  const StageInput input{.options = &options,
                         .job = &prepared.job,
                         .networks = &prepared.networks,
                         .rank = prepared.rank.get(),
                         .progress = &progress,
                         .frames_made = hooks.frames_made};
  const at::Tensor latent =
      prepared.job.latents.empty() ? sampled_latents(input, made) : latents_of_file(input);
  made.latents = latent.to(at::kCPU);
  if (hooks.before_decode) hooks.before_decode(made.latents);
  made.stages.emplace_back();
  made.frames = decode_stage(input, latent, made.stages.back());
}

}  // namespace ferry::worker
