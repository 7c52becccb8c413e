#include "worker/planner/predict.h"
#include "worker/stages/stages.h"

namespace ferry::worker {
namespace {

// One step of the job, on the ranks that it has.
Cell cell_of(const StageInput& input) {
  const Job& job = *input.job;
  const Rank& rank = *input.rank;
  Cell cell{.dit = input.networks->facts.dit,
            .compute = input.network(Role::Dit).compute,
            .width = job.width,
            .height = job.height,
            .frames = job.frames,
            .guided = job.guided(),
            .ranks = rank.mesh.cfg * rank.mesh.ulysses,
            .nodes = rank.session->node_count(),
            .beside = rank.session->whole_node_size(),
            .parallel = {},
            .offload = {}};
  cell.parallel.cfg = input.options->parallel.cfg;
  cell.parallel.ulysses = rank.mesh.ulysses;
  return cell;
}

offload::Forecast forecast_of(const StageInput& input, Role role) {
  const offload::StagePlan& plan = input.network(role).plan;
  const RunRates& rates = input.rank->rates;
  if (plan.kind != offload::StrategyKind::Auto) return {};
  if (role != Role::Dit) return {.source = "only steps of the DiT are predicted"};
  if (!rates.machine) return {.source = rates.why_none};
  return forecast(cell_of(input), *rates.machine, plan);
}

}  // namespace

StageSource source_of(const StageInput& input, Role role) {
  const RoleEntry& entry = entry_of(role);
  const parallel::Mesh& mesh = input.rank->mesh;
  return {.network = &input.network(role),
          .runs = entry.runs(*input.options, mesh.cfg * mesh.ulysses),
          .activation_bytes = entry.activation_bytes({*input.options, *input.job, *input.networks, mesh}),
          .loras = input.network(role).loras,
          .forecast = forecast_of(input, role)};
}

}  // namespace ferry::worker
