#include "worker/engine.h"

#include <fmt/format.h>

#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text/shown.h"
#include "parallel/agree.h"
#include "worker/gpu.h"
#include "worker/job/fit_offload.h"
#include "worker/job/guidance.h"
#include "worker/job/network_use.h"
#include "worker/job/prompts.h"
#include "worker/stages/attention.h"
#include "worker/state/run_identity.h"
#include "worker/weights/lora.h"

namespace ferry::worker {
namespace {

parallel::Mesh mesh_of(const Prepared& prepared, const Networks& networks, const parallel::Session& session) {
  // Without a DiT any number of ranks is valid.
  const bool dit = needed_network(networks, Role::Dit, given_to(prepared.job)) != nullptr;
  const int heads = dit ? static_cast<int>(networks.facts.dit.heads) : session.size();
  return parallel::make_mesh(prepared.options.parallel, session.size(), session.rank(), heads);
}

// The state from which a run goes on, as every rank knows it; empty if it begins anew.
struct KeptState {
  std::string path;
  std::string attention;
};

// Gives every rank what rank 0 decided: parallel.cfg, and from which state the run goes on.  Collective over
// the world.
KeptState share_decisions(Prepared& prepared, parallel::Session& session) {
  const UnfinishedRun* unfinished = prepared.unfinished.get();
  const bool resumes = unfinished != nullptr && unfinished->found();
  const nlohmann::json mine = {static_cast<int>(prepared.options.parallel.cfg), resumes,
                               resumes ? shown(unfinished->path(), std::string::npos) : "",
                               resumes ? unfinished->attention() : ""};
  const nlohmann::json decided = nlohmann::json::parse(session.broadcast(mine.dump(), 0));
  prepared.options.parallel.cfg = static_cast<parallel::CfgMode>(decided[0].get<int>());
  prepared.resumes = decided[1].get<bool>();
  return {decided[2].get<std::string>(), decided[3].get<std::string>()};
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
  rank_->rates = rates_of_run(options.run.machine, options.offload[Role::Dit].type, *rank_->device, session);
}

Options Engine::with(const JobOptions& job, const std::optional<Echo>& echo) const {
  Options options = options_;
  options.job = job;
  if (echo) options.echo = *echo;
  return options;
}

std::vector<std::string> Engine::open(const JobOptions& job) {
  Options given = given_;
  given.job = job;
  open_networks(networks_, given, given_to(job));
  if (!given_to(job).latents) open_loras(networks_, given);
  read_said(said_of_sampling_, networks_);
  std::vector<std::string> changes = fit_offload(given, networks_, session_.size(), session_.node_size());
  options_.offload = given.offload;
  return changes;
}

std::vector<std::string> Engine::open_model(JobOptions job) {
  job.loras = given_.job.loras;
  return open(job);
}

// Of the job whose networks are open.
std::optional<checkpoint::Distilled> Engine::distilled() const {
  return distilled_of(said_of_sampling_, networks_);
}

Job Engine::resolved(const JobOptions& options) const {
  return resolve_job(with_distilled(options, distilled()), networks_.facts, rank_->on_gpu());
}

// The job; where a state of it is there, with what that decides.
Job Engine::resolve(Prepared& prepared) {
  Options& options = prepared.options;
  Job job = resolved(options.job);
  if (!job.latents.empty()) return job;
  prepared.unfinished = std::make_unique<UnfinishedRun>(hold_state(options, job), options.run.resume);
  if (!prepared.unfinished->found()) return job;
  prepared.unfinished->take_over(options, session_.size());
  if (!job.seed_drawn) return job;
  job = resolved(options.job);
  job.seed_drawn = true;
  return job;
}

// Compares a state that is there with the run; else computes on a thread what the run's own state will be of.
void Engine::identify(Prepared& prepared, const parallel::Mesh& mesh) {
  if (prepared.unfinished == nullptr) return;
  if (prepared.options.run.dry_run && !prepared.unfinished->found())
    return;  // nothing to compare, or to save
  const IdentitySource source{prepared.options, prepared.job, networks_, mesh, rank_->device->type()};
  auto compute = [identity = values_of(source), files = weight_files_of(source)]() mutable {
    add_tensors(identity, files);
    return identity;
  };
  prepared.unfinished->set_identity(std::async(std::launch::async, std::move(compute)));
  if (prepared.unfinished->found()) prepared.unfinished->check(prepared.job);
}

// Checks done by one rank for all: the job, and the mode for parallel.cfg = auto.  Returns a warning, or an
// empty string.
std::string Engine::check(Prepared& prepared, const std::vector<RankMemory>& memory) {
  Options& options = prepared.options;
  const bool cfg_open = options.parallel.cfg == parallel::CfgMode::Auto;
  const Job& job = prepared.job = resolve(prepared);
  prepared.cfg = decide_cfg(options, job, networks_, memory);
  if (cfg_open && prepared.cfg.why.empty()) prepared.cfg.why = "so the unfinished run had it";
  options.parallel.cfg = prepared.cfg.mode;
  const parallel::Mesh mesh = mesh_of(prepared, networks_, session_);
  if (mesh.data > 1) {
    throw UserError(
        fmt::format("data {}: there is one video; --jobs FILE makes several at the same time", mesh.data));
  }
  const Network* dit = needed_network(networks_, Role::Dit, given_to(job));
  if (mesh.cfg == 2 && dit != nullptr && !job.guided()) {
    throw UserError(
        "cfg parallel: guidance 1 has one branch, which leaves half of the ranks without work; "
        "accepted: auto, serial, paired, or another guidance");
  }
  identify(prepared, mesh);
  if (dit != nullptr && dit->loras) check_wrappers(*dit->loras, dit->plan);
  check_memory(options, job, networks_, {memory, mesh});
  // What auto did not choose does not fit, or was said by a state.
  const bool may_halve = !cfg_open && options.parallel.ulysses == 0;
  return network_warning(job, networks_, {memory, mesh}, may_halve);
}

std::vector<std::string> Engine::not_said_before(const std::vector<std::string>& notes) {
  std::vector<std::string> fresh;
  for (const std::string& note : notes) {
    if (!note.empty() && said_.insert(note).second) fresh.push_back(note);
  }
  return fresh;
}

void Engine::choose_attention_once(const Prepared& prepared) {
  const Network* dit = needed_network(networks_, Role::Dit, given_to(prepared.job));
  if (dit == nullptr || std::exchange(attention_chosen_, true)) return;
  choose_attention_as(given_.attention, *dit);
}

void Engine::choose_attention_as(const AttentionOptions& options, const Network& dit) {
  rank_->attention =
      choose_attention(options, dit.compute, networks_.facts.dit.head_dim(), *rank_->device, session_);
}

// Takes over the kernel `kept` of the state in `path`, from which the run goes on.  Throws UserError on every
// rank.
void Engine::keep_attention(const Prepared& prepared, const std::string& kept, const std::string& path) {
  const std::string own = attention_name(*this, prepared.job);
  if (kept.empty() || own == kept) return;
  std::string reason = fmt::format("attention is {}, in the state {}", own, kept);
  if (given_.attention.impl == "auto") {
    try {
      choose_attention_as({.impl = kept, .fa3 = kept == "fa3" ? given_.attention.fa3 : ""},
                          *needed_network(networks_, Role::Dit, given_to(prepared.job)));
      if (attention_name(*this, prepared.job) == kept) return;
    } catch (const UserError& error) {
      reason += fmt::format(" ({})", error.what());
    }
  }
  throw UserError(refusal_of_state(path, reason));
}

Job Engine::preview(const JobOptions& job) const { return resolved(job); }

Prepared Engine::prepare(const JobOptions& options, const std::optional<Echo>& echo) {
  Prepared prepared;
  const std::vector<RankMemory> memory = memory_of_ranks(*rank_);
  const std::string job = from_rank_0(session_, [&] {
    std::vector<std::string> notes = open(options);
    prepared.options = with(options, echo);
    notes.push_back(check(prepared, memory));
    notes.push_back(distilled_note(networks_, distilled(), options, prepared.job));
    notes.push_back(scheduler_note(said_of_sampling_, options, prepared.job));
    const std::vector<std::string> cuts = count_tokens(prepared.job, networks_);
    prepared.names = hold_names(prepared.options, prepared.job);
    // Logged last, so that an error is one line.
    for (const std::string& note : not_said_before(notes)) spdlog::warn("{}", note);
    for (const std::string& cut : cuts) spdlog::warn("{}", cut);
    return to_json(prepared.job);
  });
  // JSON is UTF-8; the first rank, which reads and writes the files, keeps their names unchanged.
  if (session_.rank() != 0) prepared.job = job_from_json(job);
  agree(session_, [&] {
    if (session_.rank() == 0) return;
    open(options);
    prepared.options = with(options, echo);
  });
  const KeptState kept = share_decisions(prepared, session_);
  prepared.mesh = mesh_of(prepared, networks_, session_);
  join(prepared);
  choose_attention_once(prepared);
  keep_attention(prepared, kept.attention, kept.path);
  if (prepared.unfinished != nullptr) prepared.unfinished->set_attention(attention_name(*this, prepared.job));
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
