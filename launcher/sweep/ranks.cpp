#include "launcher/sweep/ranks.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/run_failure.h"
#include "launcher/process/streams.h"
#include "launcher/ranks.h"
#include "launcher/sweep/grid.h"
#include "launcher/sweep/machine_state.h"
#include "launcher/sweep/row.h"
#include "worker/measure/step_measure.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;

worker::StepCase case_of(const Json& line) {
  return {.options = options_of(line.at("settings").get<worker::Echo>()),
          .warmups = line.at("warmups").get<int>(),
          .samples = line.at("samples").get<int>()};
}

// The next line, from the first rank's standard input, on every rank; empty: no more.
std::string next_line(parallel::Session& session) {
  std::string line;
  if (session.rank() == 0) std::getline(std::cin, line);
  return session.broadcast(line, 0);
}

int measure_cells(parallel::Session& session) {
  std::unique_ptr<worker::StepMeasure> measure;
  for (std::string line; !(line = next_line(session)).empty();) {
    Json answer;
    try {
      const worker::StepCase what = case_of(Json::parse(line));
      if (measure == nullptr) measure = std::make_unique<worker::StepMeasure>(what.options, session);
      const worker::StepResult result = measure->measure(what);
      answer = measured_fields(result, session.size());
      answer["topology"] = topology_of(session, result.device);
    } catch (const UserError& error) {
      answer = {{"error", error.what()}};
    } catch (const RunFailure& error) {
      answer = {{"error", error.what()}};
    }
    if (session.rank() == 0) say(answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  return 0;
}

}  // namespace

std::string line_for_ranks(const SweepCell& cell, const SweepCounts& counts) {
  return Json({{"settings", cell.settings}, {"warmups", counts.warmups}, {"samples", counts.samples}})
      .dump(-1, ' ', true);
}

int run_sweep_ranks(int& argc, char**& argv, const worker::RunOptions& run) {
  return run_ranks(argc, argv, run, measure_cells);
}

}  // namespace ferry::launcher
