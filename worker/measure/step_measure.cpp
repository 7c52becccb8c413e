#include "worker/measure/step_measure.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/host/exhausted.h"
#include "checkpoint/folder/hub_folder.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "offload/arena/layout.h"
#include "parallel/agree.h"
#include "worker/gpu.h"
#include "worker/job/fit_offload.h"
#include "worker/job/guidance.h"
#include "worker/job/memory_check.h"
#include "worker/job/resolve.h"
#include "worker/planner/shapes.h"
#include "worker/record/progress.h"
#include "worker/record/record.h"
#include "worker/stages/attention.h"
#include "worker/stages/stages.h"

namespace ferry::worker {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StepTimes, step_s, exposed_copy_s, exposed_exchange_s, weights_peak_bytes,
                                   activations_peak_bytes, host_peak_bytes, ferried_bytes, copy_gbps)

namespace {

constexpr int kMostRuns = 8;                      // until an open share is settled
constexpr std::uint64_t kContextSeed = 20231117;  // any: contexts are noise

// The DiT alone; of the VAE only what the DiT says of it.
Networks open_dit_of(const Options& options) {
  Networks networks;
  networks.folder = checkpoint::existing_model_folder(options.model.path);
  open_dit(networks, options);
  networks.facts.vae.z_dim = networks.facts.dit.in_channels;
  return networks;
}

// The same without its files, of a model known by its name.
Networks plan_dit_of(const Options& options) {
  const std::optional<model::DitConfig> dit = dit_by_name(options.model.path);
  if (!dit) return open_dit_of(options);
  Networks networks;
  plan_dit(networks, options, *dit);
  networks.facts.vae.z_dim = dit->in_channels;
  return networks;
}

// Every module's types on the host.
std::string types_of(const offload::ArenaPlan& plan) {
  std::string types;
  for (const model::ModuleId id : offload::all_modules(plan.stored)) {
    for (const model::TensorSpec& tensor : model::module_of(plan.stored, id).tensors)
      types += name_of(tensor.dtype);
  }
  return types;
}

std::vector<at::Tensor> noise_contexts(const Networks& networks, const Job& job, const Device& device) {
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU).clone();
  generator.set_current_seed(kContextSeed);
  const model::DitConfig& dit = networks.facts.dit;
  std::vector<at::Tensor> contexts;
  for (int branch = 0; branch < (job.guided() ? 2 : 1); ++branch) {
    contexts.push_back(at::randn({dit.text_len, dit.text_dim}, generator, at::TensorOptions(at::kFloat))
                           .to(model::torch_device(device)));
  }
  return contexts;
}

std::vector<double> last_seconds(const std::vector<double>& ms, int count) {
  std::vector<double> seconds(static_cast<std::size_t>(count), 0.0);
  const std::size_t taken = std::min(seconds.size(), ms.size());
  std::transform(ms.end() - static_cast<std::ptrdiff_t>(taken), ms.end(),
                 seconds.end() - static_cast<std::ptrdiff_t>(taken), [](double each) { return each * 1e-3; });
  return seconds;
}

StepTimes times_of(const StageRecord& record, int steps, int samples) {
  const offload::Report& report = record.offload.value();
  const auto ferried = static_cast<double>(report.ferried_bytes);
  return {.step_s = {record.step_s.end() - samples, record.step_s.end()},
          .exposed_copy_s = last_seconds(record.exposed_copy.ms_by_step, samples),
          .exposed_exchange_s = last_seconds(record.exposed_exchange.ms_by_step, samples),
          .weights_peak_bytes = record.weights_peak_bytes,
          .activations_peak_bytes = record.torch_peak_bytes,
          .host_peak_bytes = record.peak_host_bytes,
          .ferried_bytes = ferried / steps,
          .copy_gbps = report.copy_ms > 0 ? 1e-6 * ferried / report.copy_ms : 0};
}

void take_slower(std::vector<double>& mine, const std::vector<double>& other) {
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = std::max(mine[i], other.at(i));
}

StepTimes slowest(const StepTimes& mine, parallel::Session& session) {
  StepTimes all = mine;
  for (const std::string& text : session.all_gather(nlohmann::json(mine).dump())) {
    const auto other = nlohmann::json::parse(text).get<StepTimes>();
    take_slower(all.step_s, other.step_s);
    take_slower(all.exposed_copy_s, other.exposed_copy_s);
    take_slower(all.exposed_exchange_s, other.exposed_exchange_s);
    all.weights_peak_bytes = std::max(all.weights_peak_bytes, other.weights_peak_bytes);
    all.activations_peak_bytes = std::max(all.activations_peak_bytes, other.activations_peak_bytes);
    all.host_peak_bytes = std::max(all.host_peak_bytes, other.host_peak_bytes);
    all.ferried_bytes = std::max(all.ferried_bytes, other.ferried_bytes);
    if (other.copy_gbps > 0) {
      all.copy_gbps = all.copy_gbps > 0 ? std::min(all.copy_gbps, other.copy_gbps) : other.copy_gbps;
    }
  }
  return all;
}

bool same(const parallel::Mesh& a, const parallel::Mesh& b) {
  return a.data == b.data && a.cfg == b.cfg && a.ulysses == b.ulysses;
}

void refuse_idle_half(const parallel::Mesh& mesh, const Job& job) {
  if (mesh.cfg == 2 && !job.guided())
    throw UserError("cfg parallel: guidance 1 has one branch, which leaves half of the ranks without work");
}

// True if cfg auto may choose parallel on these ranks.
bool halves_fit(const parallel::Options& options, int ranks, int heads, const Job& job) {
  if (options.cfg != parallel::CfgMode::Auto || !job.guided()) return false;
  const int ulysses = parallel::ulysses_left(ranks, 2, heads);
  return ulysses > 0 && (options.ulysses == 0 || options.ulysses == ulysses);
}

}  // namespace

// A case, as the ranks have agreed on it.
struct StepMeasure::Setting {
  Options options;
  Networks networks;
  Job job;
  parallel::Mesh mesh;
};

StepFacts check_steps(const Options& given, int ranks) {
  Options options = given;
  Networks networks = plan_dit_of(options);
  const Job job = resolve_steps(options.job, networks.facts, false);
  const auto heads = static_cast<int>(networks.facts.dit.heads);
  if (!halves_fit(options.parallel, ranks, heads, job))
    refuse_idle_half(parallel::make_mesh(options.parallel, ranks, 0, heads), job);
  fit_offload(options, networks, ranks, ranks);
  Network& dit = networks[Role::Dit].value();
  return {.job = job, .dit = networks.facts.dit, .compute = dit.compute, .plan = std::move(dit.plan)};
}

StepMeasure::StepMeasure(const Options& options, parallel::Session& session)
    : session_(session), rank_(make_rank(make_device(options.model.device, session), session)) {
  rank_->failed = [&session](const std::exception& error) { session.abort(message_of(error)); };
}

StepMeasure::~StepMeasure() = default;

// On rank 0 for all: the job, the memory, cfg.
void StepMeasure::decide(Setting& setting) {
  Options& options = setting.options;
  const std::vector<RankMemory> memory = memory_of_ranks(*rank_);
  const std::string decided = parallel::from_rank_0(session_, [&] {
    setting.networks = open_dit_of(options);
    setting.job = resolve_steps(options.job, setting.networks.facts, rank_->on_gpu());
    fit_offload(options, setting.networks, session_.size(), session_.node_size());
    options.parallel.cfg = decide_cfg(options, setting.job, setting.networks, memory).mode;
    const parallel::Mesh mesh = parallel::make_mesh(options.parallel, session_.size(), 0,
                                                    static_cast<int>(setting.networks.facts.dit.heads));
    refuse_idle_half(mesh, setting.job);
    check_memory(options, setting.job, setting.networks, {memory, mesh});
    return nlohmann::json({static_cast<int>(options.parallel.cfg), to_json(setting.job)}).dump();
  });
  const auto values = nlohmann::json::parse(decided);
  options.parallel.cfg = static_cast<parallel::CfgMode>(values[0].get<int>());
  setting.job = job_from_json(values[1].get<std::string>());
}

StepMeasure::Setting StepMeasure::prepare(const StepCase& what) {
  Setting setting{.options = what.options, .networks = {}, .job = {}, .mesh = {}};
  rank_->rates =
      rates_of_run(what.options.run.machine, what.options.offload[Role::Dit].type, *rank_->device, session_);
  decide(setting);
  parallel::agree(session_, [&] {
    if (rank_->is_first()) return;
    setting.networks = open_dit_of(setting.options);
    fit_offload(setting.options, setting.networks, session_.size(), session_.node_size());
  });
  const Network& dit = setting.networks[Role::Dit].value();
  const model::DitConfig& config = setting.networks.facts.dit;
  setting.mesh = parallel::make_mesh(setting.options.parallel, session_.size(), session_.rank(),
                                     static_cast<int>(config.heads));
  join(setting.mesh, setting.options.parallel.exchange);
  rank_->attention =
      choose_attention(setting.options.attention, dit.compute, config.head_dim(), *rank_->device, session_);
  return setting;
}

void StepMeasure::join(const parallel::Mesh& mesh, parallel::ExchangeBy exchange) {
  if (model_ != nullptr) model_->drop_strategies();
  release_torch_cache(*rank_->device);
  if (joined_ && same(rank_->mesh, mesh)) return;
  rank_->join(mesh, exchange);
  joined_ = true;
}

// The seconds it took; 0 if the weights are there.
double StepMeasure::load(const Setting& setting) {
  const Network& dit = setting.networks[Role::Dit].value();
  const std::string types = types_of(dit.plan.arena);
  if (model_ != nullptr && loaded_ == types) return 0;
  model_.reset();
  rank_->janitor.finish();
  session_.barrier();
  const Clock::time_point begin = Clock::now();
  model_ = std::make_unique<LoadedModel>(*rank_, Keep::All);
  Progress silent;
  silent.set_heartbeat([this] { session_.send_heartbeat(); });
  const StageInput input{.options = &setting.options,
                         .job = &setting.job,
                         .networks = &setting.networks,
                         .rank = rank_.get(),
                         .model = model_.get(),
                         .progress = &silent};
  model_->hold({source_of(input, Role::Dit)}, silent);
  loaded_ = types;
  return seconds_since(begin);
}

StepResult StepMeasure::run(const StepCase& what) {
  const Setting setting = prepare(what);
  StepResult result;
  result.job = setting.job;
  result.mesh = setting.mesh;
  result.cfg = setting.options.parallel.cfg;
  result.attention = name_of(rank_->attention, setting.networks[Role::Dit]->compute,
                             setting.networks.facts.dit.head_dim(), *rank_->device);
  result.device = rank_->device->name();
  result.exchange = rank_->backend();
  result.load_s = load(setting);
  Job job = setting.job;
  job.steps = what.warmups + what.samples;
  Progress silent;
  silent.set_heartbeat([this] { session_.send_heartbeat(); });
  const StageInput input{.options = &setting.options,
                         .job = &job,
                         .networks = &setting.networks,
                         .rank = rank_.get(),
                         .model = model_.get(),
                         .progress = &silent};
  SamplingState begin;
  begin.latent = draw_noise(input);
  begin.contexts = noise_contexts(setting.networks, job, *rank_->device);
  // Steps in which an open share is still compared with others are no samples.
  bool settled = false;
  for (int i = 0; i < kMostRuns && !settled; ++i) {
    StageRecord record;
    settled = i > 0 && result.report.share_settled;
    denoise_stage(input, begin, record);
    result.report = record.offload.value();
    const bool stated = result.report.share_settled && result.report.share_why.empty();
    settled = session_.all_agree(settled || stated);
    result.times = times_of(record, job.steps, what.samples);
  }
  result.times = slowest(result.times, session_);
  return result;
}

StepResult StepMeasure::measure(const StepCase& what) {
  const at::NoGradGuard no_grad;
  const model::TorchStream on(*rank_->device);
  std::optional<StepResult> result;
  try {
    speak_first(*rank_, [&] { result = run(what); });
  } catch (const std::exception&) {
    // The memory of a group whose ranks could not agree to free it ends with the group.
    if (model_ != nullptr) model_->drop_strategies();
    joined_ = false;
    rank_->ticks().begin(parallel::Stage::Start);
    throw;
  }
  rank_->ticks().begin(parallel::Stage::Start);
  return *std::move(result);
}

}  // namespace ferry::worker
