#include "worker/planner/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "model/dit/activations.h"
#include "model/dit/spec.h"
#include "offload/fit.h"
#include "offload/need.h"
#include "parallel/mesh.h"
#include "worker/job/guidance.h"
#include "worker/planner/pipeline.h"
#include "worker/planner/step_time.h"

namespace ferry::worker {
namespace {

using offload::StrategyKind;

constexpr std::array kShares = {0.0, 0.25, 0.5, 0.75, 1.0};  // among which transport auto finds one

struct Way {
  parallel::Mesh mesh;
  int branches = 1;  // through a block together
  int forwards = 1;  // of a rank in a step
};

Way way_of(const Cell& cell) {
  parallel::Options options = cell.parallel;
  options.data = 1;
  Way way{.mesh = parallel::make_mesh(options, cell.ranks, 0, static_cast<int>(cell.dit.heads))};
  if (!cell.guided || way.mesh.cfg == 2) return way;
  (options.cfg == parallel::CfgMode::Serial ? way.forwards : way.branches) = 2;
  return way;
}

// Ranks of a node.
int sharers_of(const Cell& cell) { return std::max(1, cell.ranks / std::max(1, cell.nodes)); }

std::array<std::int64_t, 4> latent_of(const Cell& cell) {
  return {cell.dit.in_channels, (cell.frames - 1) / 4 + 1, cell.height / 8, cell.width / 8};
}

std::int64_t tokens_of(const Cell& cell) {
  const auto [channels, frames, height, width] = latent_of(cell);
  return frames * height * width / 4;
}

// Bytes that sequential copies for a forward of all branches.
double sequential_bytes(const offload::StagePlan& plan, int branches) {
  const model::NetworkSpec& spec = plan.arena.spec;
  double bytes = 0;
  for (const offload::ModulePlan& each : plan.modules) {
    const model::ModuleSpec& module = model::module_of(spec, each.id);
    if (each.wrapper == offload::Wrapper::None || module.once || module.host_only) continue;
    // The text embedding is computed once for a video.
    if (each.id == model::id_of(model::DitHead::Text0) || each.id == model::id_of(model::DitHead::Text2))
      continue;
    const auto size = static_cast<double>(offload::place_of(plan.arena.layout, each.id).bytes);
    const auto in_block = static_cast<model::DitBlock>(each.id.module);
    const bool shared = each.id.block == 0 && in_block <= model::DitBlock::SelfO;
    const bool each_branch = each.id.block >= 0 && in_block != model::DitBlock::Modulation && !shared;
    bytes += size * (each_branch ? branches : 1);
  }
  return bytes;
}

// What is the same for all shares.
struct Work {
  const Cell& cell;
  const MachineRates& machine;
  const RankRates& rates;
  Way way;
  const offload::StagePlan& plan;
  StrategyKind kind = StrategyKind::None;  // not Auto; with the residency, of the plan or one of its ways
  offload::Residency residency;
  ForwardTime forward;
  int sharers = 1;  // ranks of a node that bring blocks together
  bool over_network = false;
};

double link_gbps(const Work& work, RateUse& use) {
  const double link = use("link_gbps", work.rates.link_gbps);
  const double cap = work.plan.link_gbps;
  return cap > 0 ? std::min(cap, link) : link;
}

double compute_of(const Work& work) {
  const double blocks = static_cast<double>(work.cell.dit.layers - 1);
  const ForwardTime& f = work.forward;
  return f.first.compute_s + blocks * f.block.compute_s + f.head_s + f.tail_s;
}

double exchange_of(const Work& work) {
  return work.forward.first.exchange_s +
         static_cast<double>(work.cell.dit.layers - 1) * work.forward.block.exchange_s;
}

// The fraction of exchanges that computing waits for.
double exposed_part(const Work& work, RateUse& use) {
  return std::min(1.0, work.over_network ? use("network_exposed", work.machine.network_exposed)
                                         : use("exchange_exposed", work.rates.exchange_exposed));
}

// Bytes of a ferried block, in the passes behind the first.
double ferried_block_bytes(const Work& work) {
  const auto& offloaded = work.residency.offloaded;
  double bytes = 0;
  for (const int block : offloaded)
    bytes += static_cast<double>(block_of(work.plan.arena.layout, block).front);
  return offloaded.empty() ? 0 : bytes / static_cast<double>(offloaded.size());
}

// Computing beside traffic: it loses `loss` seconds for each GB that moves meanwhile.
double beside(double compute_s, double bytes, double gbps, double loss) {
  const double all = compute_s + loss * bytes * 1e-9;
  const double slowed = loss * gbps < 1 ? compute_s / (1 - loss * gbps) : all;
  return std::min(all, slowed);
}

// Seconds of one forward, without exchanges.
struct Moved {
  double compute_s = 0;
  double copy_s = 0;
  double waits_s = 0;
  double ferried = 0;  // bytes over a link
};

Moved resident(const Work& work) { return {.compute_s = compute_of(work)}; }

Moved sequential(const Work& work, RateUse& use) {
  const double bytes = sequential_bytes(work.plan, work.way.branches);
  const double seconds = bytes * 1e-9 / link_gbps(work, use);
  return {.compute_s = compute_of(work), .copy_s = seconds, .waits_s = seconds, .ferried = bytes};
}

Moved async(const Work& work, double share, double exposed_exchange_s, RateUse& use) {
  const int layers = static_cast<int>(work.cell.dit.layers);
  const int sharers = work.sharers;
  const double block = ferried_block_bytes(work);
  const auto count = static_cast<double>(work.residency.offloaded.size());
  const double copied = block * (1 - share + share / sharers);
  const double gathered = block * share * (sharers - 1) / sharers;
  const double link = link_gbps(work, use);
  const double gather = share > 0 ? use("gather_gbps", work.rates.gather_gbps) : 1;
  const double per_block = count / layers;
  PipelineCase pipeline{.ferried = std::vector<bool>(static_cast<std::size_t>(layers), false),
                        .head_s = work.forward.head_s,
                        .tail_s = work.forward.tail_s,
                        .copy_s = copied * 1e-9 / link,
                        .gather_s = gathered * 1e-9 / gather,
                        .together = work.machine.gpu,
                        .slots = work.residency.slots};
  for (const int each : work.residency.offloaded) pipeline.ferried[static_cast<std::size_t>(each)] = true;
  Moved moved{.compute_s = work.forward.head_s + work.forward.tail_s,
              .copy_s = count * (pipeline.copy_s + pipeline.gather_s),
              .ferried = count * copied};
  for (int i = 0; i < layers; ++i) {
    const double alone = i == 0 ? work.forward.first.compute_s : work.forward.block.compute_s;
    double seconds = beside(alone, copied * per_block, link, use("copy_loss", work.rates.copy_loss));
    if (share > 0) {
      seconds +=
          beside(alone, gathered * per_block, gather, use("gather_loss", work.rates.gather_loss)) - alone;
    }
    moved.compute_s += seconds;
    pipeline.compute_s.push_back(seconds + exposed_exchange_s / layers);
  }
  moved.waits_s = steady_forward(pipeline).waits_s;
  return moved;
}

std::optional<double> stated(const Work& work) { return work.sharers == 1 ? 0.0 : work.plan.share; }

Moved moved(const Work& work, double exposed_exchange_s, double& share, RateUse& use) {
  if (work.kind == StrategyKind::Sequential) return sequential(work, use);
  if (work.kind != StrategyKind::Async || work.residency.offloaded.empty()) return resident(work);
  const auto total = [&](const Moved& each) { return each.compute_s + each.waits_s; };
  std::optional<Moved> best;
  for (const double each :
       stated(work) ? std::vector{*stated(work)} : std::vector<double>(kShares.begin(), kShares.end())) {
    const Moved tried = async(work, each, exposed_exchange_s, use);
    if (best && total(tried) >= total(*best)) continue;
    best = tried;
    share = each;
  }
  return *best;
}

std::size_t activations_of(const Cell& cell, const Way& way) {
  const int contexts = cell.guided && way.mesh.cfg == 1 ? 2 : 1;
  return model::activation_bytes(cell.dit,
                                 {.latent = latent_of(cell),
                                  .ulysses = way.mesh.ulysses,
                                  .branches = way.branches,
                                  .contexts = contexts},
                                 cell.compute);
}

// The cell with its cfg: Auto is what a run finds.
Cell with_cfg(Cell cell, const MachineRates& machine, const offload::StagePlan& plan) {
  if (cell.parallel.cfg != parallel::CfgMode::Auto) return cell;
  DitWork work{.dit = cell.dit,
               .compute = cell.compute,
               .latent = latent_of(cell),
               .guided = cell.guided,
               .plan = plan,
               .on_gpu = machine.gpu,
               .options = cell.parallel,
               .total_bytes = device_bytes(machine, plan, sharers_of(cell))};
  work.options.data = 1;
  for (int rank = 0; rank < cell.ranks; ++rank) work.nodes.push_back(rank / sharers_of(cell));
  cell.parallel.cfg = choose_cfg(work).mode;
  return cell;
}

offload::WeightsRoom room_of(const Cell& cell, const MachineRates& machine, const offload::StagePlan& plan,
                             std::size_t activations) {
  const std::size_t device = cell.device_bytes.value_or(device_bytes(machine, plan, sharers_of(cell)));
  return {.bytes = room_for_weights(plan, device, activations),
          .in_place = machine.gpu ? 0 : room_in_place(plan)};
}

bool of_its_type(const Cell& cell, const MachineRates& machine) {
  return machine.dtype == name_of(cell.compute);
}

// Ranks of a node that compute at the same time.
int busy_of(const Cell& cell) { return std::max(sharers_of(cell), cell.beside); }

void note_uses(const Work& work, RateUse& use) {
  if (work.rates.ranks != busy_of(work.cell))
    use.assume("rates of " + std::to_string(work.rates.ranks) + " ranks");
  if (!of_its_type(work.cell, work.machine)) use.assume("rates of " + work.machine.dtype);
}

Work work_of(const Cell& cell, const MachineRates& machine, const offload::StagePlan& plan, RateUse& use) {
  const Way way = way_of(cell);
  const RankRates& rates = machine.of(busy_of(cell));
  const int sharers = sharers_of(cell);
  const ForwardShape shape{.dit = cell.dit,
                           .compute = cell.compute,
                           .tokens = tokens_of(cell),
                           .ulysses = way.mesh.ulysses,
                           .branches = way.branches,
                           .over_network = way.mesh.ulysses > sharers};
  return {.cell = cell,
          .machine = machine,
          .rates = rates,
          .way = way,
          .plan = plan,
          .kind = plan.kind,
          .residency = plan.residency,
          .forward = forward_time(shape, machine, rates, use),
          .sharers = sharers,
          .over_network = shape.over_network};
}

void fill_memory(Prediction& prediction, const Work& work) {
  const offload::StagePlan& plan = work.plan;
  prediction.type = plan.kind;
  prediction.gpu_bytes = plan.need.bytes;
  prediction.node_bytes = plan.arena.layout.bytes;
  if (plan.kind != StrategyKind::Async) return;
  prediction.offload_ratio =
      static_cast<double>(plan.residency.offloaded.size()) / static_cast<double>(work.cell.dit.layers);
  prediction.prefetch_size = std::max(1, plan.residency.slots - 1);
}

void fill_time(Prediction& prediction, const Work& work, RateUse& use) {
  const double exchange = exchange_of(work);
  const double exposed = exchange > 0 ? exchange * exposed_part(work, use) : 0;
  const Moved one = moved(work, exposed, prediction.share, use);
  const int forwards = work.way.forwards;
  prediction.ferried_bytes = static_cast<std::size_t>(forwards * one.ferried);
  prediction.compute_s = forwards * one.compute_s;
  prediction.copy_s = forwards * one.copy_s;
  prediction.exchange_s = forwards * exchange;
  prediction.exposed_copy_s = forwards * one.waits_s;
  prediction.exposed_exchange_s = forwards * exposed;
  prediction.step_s = prediction.compute_s + prediction.exposed_copy_s + prediction.exposed_exchange_s;
}

void add_names(std::vector<std::string>& to, const std::set<std::string>& names) {
  to.insert(to.end(), names.begin(), names.end());
  std::ranges::sort(to);
  to.erase(std::ranges::unique(to).begin(), to.end());
}

}  // namespace

void add_uses(Prediction& prediction, const RateUse& use) {
  add_names(prediction.assumed, use.assumed());
  add_names(prediction.fitted, use.fitted());
}

offload::StagePlan stage_plan(const Cell& cell) {
  return offload::fit(model::dit_spec(cell.dit, cell.compute), cell.offload,
                      {.node_size = sharers_of(cell), .alone = false, .gated = true})
      .plan;
}

std::size_t device_bytes(const MachineRates& machine, const offload::StagePlan& plan, int node_ranks) {
  if (machine.gpu) return offload::limit_bytes(machine.device_gib.value);
  return cpu_device_bytes(offload::limit_bytes(machine.host_gib.value), plan, node_ranks);
}

Prediction predict(const Cell& cell, const MachineRates& machine) {
  if (cell.parallel.cfg != parallel::CfgMode::Auto)
    way_of(cell);  // ranks that cannot be divided are refused first
  return predict(cell, machine, stage_plan(cell));
}

Prediction predict(const Cell& given, const MachineRates& machine, const offload::StagePlan& plan) {
  const Cell cell = with_cfg(given, machine, plan);
  const Way way = way_of(cell);
  Prediction prediction{.cfg = cell.parallel.cfg, .ulysses = way.mesh.ulysses};
  prediction.activation_bytes = activations_of(cell, way);
  const offload::WeightsRoom room = room_of(cell, machine, plan, prediction.activation_bytes);
  const offload::StagePlan chosen = decided(plan, room, forecast(cell, machine, plan));
  RateUse use;
  const Work work = work_of(cell, machine, chosen, use);
  note_uses(work, use);
  fill_memory(prediction, work);
  fill_time(prediction, work, use);
  add_uses(prediction, use);
  return prediction;
}

offload::Forecast forecast(const Cell& cell, const MachineRates& machine, const offload::StagePlan& plan) {
  if (!of_its_type(cell, machine)) {
    return {.source = fmt::format("rates of {} are for {}, not {}", machine.name, machine.dtype,
                                  name_of(cell.compute))};
  }
  offload::Forecast forecast{.source = "rates of " + machine.name};
  RateUse use;
  Work work = work_of(cell, machine, plan, use);
  for (const offload::DeviceUse& way : plan.ways) {
    work.kind = way.kind;
    work.residency = way.residency;
    Prediction prediction;
    fill_time(prediction, work, use);
    forecast.step_s.push_back(prediction.step_s);
  }
  return forecast;
}

}  // namespace ferry::worker
