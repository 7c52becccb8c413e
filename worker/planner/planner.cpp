#include "worker/planner/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "offload/need.h"
#include "worker/distillation.h"
#include "worker/job/resolve.h"
#include "worker/planner/stage_memory.h"
#include "worker/planner/step_time.h"

namespace ferry::worker {
namespace {

using offload::StrategyKind;
using offload::Transport;
using parallel::CfgMode;

PlannedJob job_of(const ModelShapes& model, const PlanRequest& request) {
  JobOptions options;
  options.width = request.width;
  options.height = request.height;
  options.frames = request.frames;
  options.steps = request.steps;
  options.guidance = request.guidance;
  options.seed = 0;
  const ModelFacts facts{
      .dit = model.dit, .vae = model.vae.value_or(model::VaeConfig{}), .text = {}, .flow_shift = {}};
  const auto said = checkpoint::first_with_steps(request.distilled, model.distilled);
  const Job job = resolve_steps(with_distilled(options, said), facts, false);
  return {.width = job.width,
          .height = job.height,
          .frames = job.frames,
          .steps = job.steps,
          .guided = job.guided(),
          .note = said_note(said, options, job)};
}

// How the GPUs are divided.
struct Division {
  CfgMode cfg = CfgMode::Paired;
  int ulysses = 1;
  int data = 1;
  int group = 1;  // ranks of one video
  int nodes = 1;  // that these are on
};

std::optional<Division> division_of(const PlanRequest& request, std::int64_t heads, CfgMode cfg, int data) {
  const int degree = cfg == CfgMode::Parallel ? 2 : 1;
  if (request.gpus % (data * degree) != 0) return std::nullopt;
  const int group = request.gpus / data;
  const int per_node = request.gpus / request.nodes;
  const bool whole = group <= per_node ? per_node % group == 0 : group % per_node == 0;
  if (!whole || group / degree > heads) return std::nullopt;
  return Division{.cfg = cfg,
                  .ulysses = group / degree,
                  .data = data,
                  .group = group,
                  .nodes = std::max(1, group / per_node)};
}

std::vector<Division> divisions(const PlanRequest& request, std::int64_t heads, bool guided) {
  std::vector<Division> all;
  for (int data = 1; data <= request.gpus; ++data) {
    for (const CfgMode cfg : {CfgMode::Paired, CfgMode::Parallel, CfgMode::Serial}) {
      if (cfg != CfgMode::Paired && !guided) continue;
      if (const auto division = division_of(request, heads, cfg, data)) all.push_back(*division);
    }
  }
  return all;
}

offload::Options strategy(StrategyKind type, double ratio = 1, int prefetch = 1,
                          Transport transport = Transport::Auto) {
  offload::Options options;
  options.type = type;
  options.offload_ratio = ratio;
  options.prefetch_size = prefetch;
  options.transport = transport;
  return options;
}

// The request's plans, each made when it is asked for.
class Evaluator {
 public:
  Evaluator(const ModelShapes& model, const PlanRequest& request, const MachineRates& machine)
      : model_(model),
        request_(request),
        machine_(machine),
        job_(job_of(model, request)),
        vram_bytes_(offload::limit_bytes(request.vram_gib.value_or(machine.device_gib.value))),
        host_bytes_(offload::limit_bytes(request.host_gib.value_or(machine.host_gib.value))),
        others_(model, request, job_),
        text_bytes_(others_.text_bytes()),
        text_s_(others_.text_s(machine)) {}

  const PlannedJob& job() const { return job_; }
  std::size_t vram_bytes() const { return vram_bytes_; }
  std::size_t host_bytes() const { return host_bytes_; }

  Plan operator()(const Division& division, const offload::Options& options) {
    Cell cell{.dit = model_.dit,
              .compute = request_.compute,
              .width = job_.width,
              .height = job_.height,
              .frames = job_.frames,
              .guided = job_.guided,
              .ranks = division.group,
              .nodes = division.nodes,
              .beside = request_.gpus / request_.nodes,
              .parallel = {},
              .offload = options,
              .device_bytes = vram_bytes_};
    cell.parallel.cfg = division.cfg;
    cell.parallel.ulysses = division.ulysses;
    Plan plan{.step = predict(cell, machine_, plan_of(cell)),
              .transport = options.transport,
              .data = division.data,
              .nodes = request_.nodes};
    fill_memory(plan, division, options);
    fill_video(plan, division);
    return plan;
  }

 private:
  const offload::StagePlan& plan_of(const Cell& cell) {
    const offload::Options& o = cell.offload;
    const auto [found, is_new] =
        plans_.try_emplace({o.type, o.offload_ratio, o.prefetch_size, o.transport, cell.ranks / cell.nodes});
    if (is_new) found->second = stage_plan(cell);
    return found->second;
  }

  void fill_memory(Plan& plan, const Division& division, const offload::Options& options) {
    const bool adds_lora = options.type == StrategyKind::Sequential;
    plan.gpu_bytes = plan.step.gpu_bytes + (adds_lora ? request_.lora_bytes : 0);
    plan.node_bytes = plan.step.node_bytes * static_cast<std::size_t>(model_.experts);
    plan.total_bytes = plan.gpu_bytes + plan.step.activation_bytes;
    // On the CPU devices are host memory too, and `none` uses the host copy in place.
    const bool in_place = !machine_.gpu && options.type == StrategyKind::None;
    std::size_t taken = plan.total_bytes - (in_place ? plan.gpu_bytes : 0);
    for (const StageBytes& each : others_.bytes(options, division.group, division.group / division.nodes)) {
      plan.gpu_bytes = std::max(plan.gpu_bytes, each.weights);
      plan.node_bytes = std::max(plan.node_bytes, each.host);
      plan.total_bytes = std::max(plan.total_bytes, each.weights + each.activations);
      taken = std::max(taken, each.activations + (in_place ? 0 : each.weights));
    }
    const auto ranks = static_cast<std::size_t>(request_.gpus / request_.nodes);
    const std::size_t on_host = plan.node_bytes + (machine_.gpu ? 0 : ranks * taken);
    plan.fits = taken <= vram_bytes_ && on_host <= host_bytes_;
  }

  void fill_video(Plan& plan, const Division& division) {
    const double dit = 1e-9 * static_cast<double>(plan.step.node_bytes) * model_.experts;
    RateUse use;
    const double pinned = machine_.gpu ? dit / use("pin_gbps", machine_.pin_gbps) : 0;
    const double read =
        (dit + 1e-9 * static_cast<double>(text_bytes_)) / use("read_gbps", machine_.read_gbps);
    plan.start_s = use("init_s", machine_.init_s) + read + pinned + text_s_;
    plan.decode_s = others_.decode_s(machine_, division.group);
    if (plan.decode_s > 0) use("decode_tflops", machine_.decode_tflops);
    add_uses(plan.step, use);
    const double made = job_.steps * plan.step.step_s + plan.decode_s;
    plan.video_s = plan.start_s + made;
    plan.videos_per_hour = 3600 * division.data / (made + text_s_);
  }

  const ModelShapes& model_;
  const PlanRequest& request_;
  const MachineRates& machine_;
  PlannedJob job_;
  std::size_t vram_bytes_;
  std::size_t host_bytes_;
  OtherStages others_;
  std::size_t text_bytes_;
  double text_s_;
  using Key = std::tuple<StrategyKind, double, int, Transport, int>;
  std::map<Key, offload::StagePlan> plans_{};
};

// What offload type auto chooses, where that is not among the others.
std::optional<offload::Options> partly_resident(const Division& division, Transport transport,
                                                Evaluator& evaluate) {
  const Prediction step = evaluate(division, strategy(StrategyKind::Auto, 1, 1, transport)).step;
  if (step.type != StrategyKind::Async || step.offload_ratio == 1) return std::nullopt;
  return strategy(StrategyKind::Async, step.offload_ratio, step.prefetch_size, transport);
}

// The strategies that are compared for each division.
std::vector<offload::Options> strategies(const Division& division, int layers, Evaluator& evaluate) {
  const bool alone = division.group == division.nodes;
  const Transport transport = alone ? Transport::Full : Transport::Auto;
  std::vector<offload::Options> all = {strategy(StrategyKind::None),
                                       strategy(StrategyKind::Async, 1, 1, transport)};
  if (!alone) {
    all.push_back(strategy(StrategyKind::Async, 1, 1, Transport::Full));
    all.push_back(strategy(StrategyKind::Async, 1, 1, Transport::Sharded));
  }
  if (layers > 1) all.push_back(strategy(StrategyKind::Async, 1, 2, transport));
  if (const auto partly = partly_resident(division, transport, evaluate)) all.push_back(*partly);
  all.push_back(strategy(StrategyKind::Sequential));
  return all;
}

// Of plans that are as fast, the first: no offloading before async before sequential, what is decided in the
// run before what is fixed, less prefetch.
int order_of(const Plan& plan) {
  const int kind = plan.step.type == StrategyKind::None ? 0 : plan.step.type == StrategyKind::Async ? 1 : 2;
  return kind * 100 + (plan.transport == Transport::Auto ? 0 : 10) + plan.step.prefetch_size;
}

void choose(Plans& plans) {
  const double best = plans.all.front().video_s;
  for (std::size_t i = 0; i < plans.all.size() && plans.all[i].fits; ++i) {
    const Plan& plan = plans.all[i];
    if (plan.video_s <= best * (1 + offload::kAsGood) &&
        order_of(plan) < order_of(plans.all[plans.recommended]))
      plans.recommended = i;
    if (plan.videos_per_hour > plans.all[plans.most_videos].videos_per_hour) plans.most_videos = i;
  }
}

[[noreturn]] void refuse_division(const ModelShapes& model, const PlanRequest& request) {
  throw UserError(
      fmt::format("{} GPUs on {} node{}: they cannot be divided into equal groups with at most {} Ulysses "
                  "ranks, the heads of {}; a power of two can",
                  request.gpus, request.nodes, request.nodes == 1 ? "" : "s", model.dit.heads, model.name));
}

[[noreturn]] void refuse_memory(const Plans& plans, const ModelShapes& model, const PlanRequest& request) {
  const auto gib = [](std::size_t bytes) { return static_cast<double>(bytes) / offload::kGiB; };
  const Plan& host = std::ranges::min(plans.all, {}, &Plan::node_bytes);
  if (gib(host.node_bytes) > plans.host_gib) {
    throw UserError(
        fmt::format("host memory: the weights of {} take {:.2f} GiB on each node, and {:.2f} GiB are there; "
                    "--host {:.0f} "
                    "would fit{}",
                    model.name, gib(host.node_bytes), plans.host_gib, std::ceil(gib(host.node_bytes)),
                    request.compute == DType::F32 ? ", or --dtype bf16" : ""));
  }
  const Plan& least = std::ranges::min(plans.all, {}, &Plan::total_bytes);
  throw UserError(fmt::format(
      "GPU memory: the least that {} takes at {}x{}, {} frames is {:.2f} GiB on each GPU (offload type "
      "{}), "
      "and {:.2f} GiB are there; --vram {:.1f} would fit, and a smaller size, fewer frames or more GPUs take "
      "less",
      model.name, plans.job.width, plans.job.height, plans.job.frames, gib(least.total_bytes),
      name_of(least.step.type), plans.vram_gib, std::ceil(gib(least.total_bytes) * 10) / 10));
}

}  // namespace

void check_request(const ModelShapes& model, const PlanRequest& request) {
  if (request.gpus < 1 || request.nodes < 1 || request.gpus % request.nodes != 0) {
    throw UserError(fmt::format("gpus {}: a multiple of the {} nodes, as in {}", request.gpus, request.nodes,
                                request.nodes * std::max(1, request.gpus / std::max(1, request.nodes))));
  }
  if (divisions(request, model.dit.heads, job_of(model, request).guided).empty())
    refuse_division(model, request);
}

Plans make_plans(const ModelShapes& model, const PlanRequest& request, const MachineRates& machine) {
  check_request(model, request);
  Evaluator evaluate(model, request, machine);
  Plans plans{.job = evaluate.job(),
              .vram_gib = static_cast<double>(evaluate.vram_bytes()) / offload::kGiB,
              .host_gib = static_cast<double>(evaluate.host_bytes()) / offload::kGiB,
              .all = {}};
  const auto layers = static_cast<int>(model.dit.layers);
  for (const Division& division : divisions(request, model.dit.heads, plans.job.guided)) {
    for (const offload::Options& each : strategies(division, layers, evaluate))
      plans.all.push_back(evaluate(division, each));
  }
  if (std::ranges::none_of(plans.all, &Plan::fits)) refuse_memory(plans, model, request);
  std::ranges::stable_sort(plans.all, [](const Plan& a, const Plan& b) {
    return a.fits != b.fits ? a.fits : a.video_s < b.video_s;
  });
  choose(plans);
  return plans;
}

}  // namespace ferry::worker
