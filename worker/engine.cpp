#include "worker/engine.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "worker/gpu.h"
#include "worker/job/fit_offload.h"
#include "worker/job/guidance.h"
#include "worker/job/prompts.h"
#include "worker/stages/attention.h"
#include "worker/weights/lora.h"

namespace ferry::worker {
namespace {

parallel::Mesh mesh_of(const Prepared& prepared, const Networks& networks, const parallel::Session& session) {
  // Without a DiT any number of ranks is valid.
  const bool dit = needed_network(networks, Role::Dit, given_to(prepared.job)) != nullptr;
  const int heads = dit ? static_cast<int>(networks.facts.dit.heads) : session.size();
  return parallel::make_mesh(prepared.options.parallel, session.size(), session.rank(), heads);
}

// Returns rank 0's parallel.cfg on every rank.  Collective over the world.
parallel::CfgMode cfg_of_rank_0(const Options& options, parallel::Session& session) {
  const std::string mode = session.broadcast(std::to_string(static_cast<int>(options.parallel.cfg)), 0);
  return static_cast<parallel::CfgMode>(std::stoi(mode));
}

bool same(const parallel::Mesh& a, const parallel::Mesh& b) {
  return a.data == b.data && a.cfg == b.cfg && a.ulysses == b.ulysses;
}

}  // namespace

Engine::Engine(const Options& options, parallel::Session& session)
    : session_(session),
      given_(options),
      options_(options),
      rank_(make_rank(make_device(options.model.device, session), session)),
      model_(std::make_unique<LoadedModel>(*rank_, options.run.keep)) {
  if (!options.trace_file.empty()) rank_->trace = std::make_unique<Trace>(*rank_->device);
}

Options Engine::with(const JobOptions& job) const {
  Options options = options_;
  options.job = job;
  return options;
}

// Returns the changes made to [offload].
std::vector<std::string> Engine::open(const JobOptions& job) {
  Options given = given_;
  given.job = job;
  open_networks(networks_, given, given_to(job));
  std::vector<std::string> changes = fit_offload(given, networks_, session_.size(), session_.node_size());
  options_.offload = given.offload;
  return changes;
}

// Checks done by one rank for all: the job, and the mode for parallel.cfg = auto.
void Engine::check(Prepared& prepared, const std::vector<RankMemory>& memory) {
  Options& options = prepared.options;
  const Job& job = prepared.job = resolve_job(options.job, networks_.facts, rank_->on_gpu());
  prepared.cfg = decide_cfg(options, job, networks_, memory);
  options.parallel.cfg = prepared.cfg.mode;
  const parallel::Mesh mesh = mesh_of(prepared, networks_, session_);
  if (mesh.data > 1) {
    throw UserError(fmt::format("data {}: not yet: one run makes one video, so data must be 1", mesh.data));
  }
  const Network* dit = needed_network(networks_, Role::Dit, given_to(job));
  if (mesh.cfg == 2 && dit != nullptr && !job.guided()) {
    throw UserError(
        "cfg parallel: guidance 1 has one branch, which leaves half of the ranks without work; "
        "accepted: auto, serial, paired, or another guidance");
  }
  if (dit != nullptr && dit->lora) check_wrappers(*dit->lora, dit->plan);
  check_memory(options, job, networks_, {memory, mesh});
}

std::vector<std::string> Engine::not_said_before(const std::vector<std::string>& notes) {
  std::vector<std::string> fresh;
  for (const std::string& note : notes) {
    if (said_.insert(note).second) fresh.push_back(note);
  }
  return fresh;
}

void Engine::choose_attention_once(const Prepared& prepared) {
  const Network* dit = needed_network(networks_, Role::Dit, given_to(prepared.job));
  if (dit == nullptr || std::exchange(attention_chosen_, true)) return;
  rank_->attention = choose_attention(given_.attention, dit->compute, networks_.facts.dit.head_dim(),
                                      *rank_->device, session_);
}

Prepared Engine::prepare(const JobOptions& options) {
  Prepared prepared;
  const std::vector<RankMemory> memory = memory_of_ranks(*rank_);
  const std::string job = from_rank_0(session_, [&] {
    const std::vector<std::string> changes = open(options);
    prepared.options = with(options);
    check(prepared, memory);
    const std::vector<std::string> cuts = count_tokens(prepared.job, networks_);
    prepared.names = hold_names(prepared.options, prepared.job);
    // Logged last, so that an error is one line.
    for (const std::string& note : not_said_before(changes)) spdlog::warn("{}", note);
    for (const std::string& cut : cuts) spdlog::warn("{}", cut);
    return to_json(prepared.job);
  });
  // JSON is UTF-8; the first rank, which reads and writes the files, keeps their names unchanged.
  if (session_.rank() != 0) prepared.job = job_from_json(job);
  agree(session_, [&] {
    if (session_.rank() == 0) return;
    open(options);
    prepared.options = with(options);
  });
  prepared.options.parallel.cfg = cfg_of_rank_0(prepared.options, session_);
  prepared.mesh = mesh_of(prepared, networks_, session_);
  join(prepared);
  choose_attention_once(prepared);
  return prepared;
}

void Engine::join(const Prepared& prepared) {
  if (joined_ && same(rank_->mesh, prepared.mesh)) return;
  model_->drop_strategies();
  release_torch_cache(*rank_->device);  // what a video that was broken off has left
  rank_->join(prepared.mesh, given_.parallel.exchange);
  joined_ = true;
}

std::string attention_name(const Engine& engine, const Job& job) {
  const Networks& networks = engine.networks();
  const Network* dit = needed_network(networks, Role::Dit, given_to(job));
  if (dit == nullptr) return {};
  return name_of(engine.rank().attention, dit->compute, networks.facts.dit.head_dim(), *engine.rank().device);
}

}  // namespace ferry::worker
