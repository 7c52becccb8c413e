#include "launcher/sweep/prediction.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/host/memory_use.h"
#include "offload/arena/host_check.h"
#include "offload/device_check.h"
#include "offload/need.h"
#include "worker/planner/predict.h"
#include "worker/record/version.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;

worker::Prediction predict(const SweepCell& cell, const worker::StepFacts& facts,
                           const worker::MachineRates& machine) {
  return worker::predict({.dit = facts.dit,
                          .compute = facts.compute,
                          .width = facts.job.width,
                          .height = facts.job.height,
                          .frames = facts.job.frames,
                          .guided = facts.job.guided(),
                          .ranks = cell.ranks,
                          .parallel = cell.options.parallel,
                          .offload = cell.options.offload[worker::Role::Dit]},
                         machine);
}

Json fields_of(const worker::Prediction& p, const worker::MachineRates& machine) {
  return {{"predicted_step_s", p.step_s},
          {"predicted",
           {{"machine", machine.name},
            {"cfg", word_of(p.cfg)},
            {"type", word_of(p.type)},
            {"offload_ratio", p.offload_ratio},
            {"prefetch_size", p.prefetch_size},
            {"gpu_bytes", p.gpu_bytes},
            {"node_bytes", p.node_bytes},
            {"activation_bytes", p.activation_bytes},
            {"compute_s", p.compute_s},
            {"exposed_copy_s", p.exposed_copy_s},
            {"exposed_exchange_s", p.exposed_exchange_s},
            {"assumed", p.assumed},
            {"fitted", p.fitted}}}};
}

// As the ranks check it (worker/job/memory_check.h), with all of the machine's memory free.
void check_room(const worker::StepFacts& facts, std::size_t activation_bytes, int ranks,
                const worker::MachineRates& machine) {
  const std::size_t host = offload::limit_bytes(machine.host_gib.value);
  offload::check_host_memory(facts.plan.arena, 1, {.total_bytes = host, .available_bytes = host},
                             "a node of " + machine.name);
  const std::size_t device = worker::device_bytes(machine, facts.plan, ranks);
  offload::check_device_memory(facts.plan, activation_bytes,
                               {.free_bytes = device,
                                .total_bytes = machine.gpu ? device : host,
                                .where = "a device of " + machine.name,
                                .weights_in_place = !machine.gpu});
}

double gb(const Json& predicted, const char* name) { return 1e-9 * predicted.at(name).get<double>(); }

// A value of a cell; "-": without effect.
std::string text_of(const Json& row, const char* name) {
  const Json& value = row.at(name);
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string table_row(const Json& row) {
  std::string text = fmt::format("{:>5} {:>8} {:>10} {:>9} {:>6} {:>5} {:>9} {:>6} ", text_of(row, "ranks"),
                                 text_of(row, "cfg"), text_of(row, "type"), text_of(row, "transport"),
                                 text_of(row, "offload_ratio"), text_of(row, "link_gbps"),
                                 text_of(row, "size"), text_of(row, "frames"));
  if (row.contains("error")) return text + row.at("error").get<std::string>() + "\n";
  const Json& p = row.at("predicted");
  return text + fmt::format("{:>9.4f} {:>9.4f} {:>9.4f} {:>11.4f} {:>9.3f} {:>9.3f}\n",
                            row.at("predicted_step_s").get<double>(), p.at("compute_s").get<double>(),
                            p.at("exposed_copy_s").get<double>(), p.at("exposed_exchange_s").get<double>(),
                            gb(p, "gpu_bytes") + gb(p, "activation_bytes"), gb(p, "node_bytes"));
}

}  // namespace

Json predicted_fields(const SweepCell& cell, const worker::StepFacts& facts,
                      const worker::MachineRates& machine) {
  try {
    return fields_of(predict(cell, facts, machine), machine);
  } catch (const UserError&) {  // said by the ranks, if it is so
    return Json::object();
  }
}

Json predicted_outcome(const SweepCell& cell, const worker::StepFacts& facts,
                       const worker::MachineRates& machine) {
  Json outcome = Json::object();
  try {
    const worker::Prediction p = predict(cell, facts, machine);
    outcome = fields_of(p, machine);
    check_room(facts, p.activation_bytes, cell.ranks, machine);
  } catch (const UserError& error) {
    outcome["error"] = error.what();
  }
  return outcome;
}

std::vector<std::string> prediction_rows(const std::vector<PlannedCell>& cells) {
  std::vector<std::string> rows;
  for (const PlannedCell& cell : cells) {
    Json row = {{"cell", cell.name}};
    row.update(cell.fields);
    if (!cell.impossible.empty()) row["error"] = cell.impossible;
    row.update(cell.predicted);
    row["versions"] = {{"ferry", worker::ferry_version()}, {"git", worker::git_commit()}};
    rows.push_back(row.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return rows;
}

std::string prediction_table(const std::vector<std::string>& rows) {
  std::string text =
      fmt::format("{:>5} {:>8} {:>10} {:>9} {:>6} {:>5} {:>9} {:>6} {:>9} {:>9} {:>9} {:>11} {:>9} {:>9}\n",
                  "ranks", "cfg", "type", "transport", "ratio", "link", "size", "frames", "step s",
                  "compute s", "copy s", "exchange s", "GPU GB", "node GB");
  for (const std::string& row : rows) text += table_row(Json::parse(row));
  return text;
}

}  // namespace ferry::launcher
