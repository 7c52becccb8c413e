#include "launcher/sweep/ranks.h"

#include <iostream>
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

Json answer_to(const std::string& line, worker::StepMeasure& measure, parallel::Session& session) {
  try {
    const worker::StepResult result = measure.measure(case_of(Json::parse(line)));
    Json answer = measured_fields(result, session.size());
    answer["topology"] = topology_of(session, result.device);
    return answer;
  } catch (const UserError& error) {
    return {{"error", error.what()}};
  } catch (const RunFailure& error) {
    return {{"error", error.what()}};
  }
}

int measure_cells(parallel::Session& session) {
  const auto answer = [&](const Json& json) {
    if (session.rank() == 0) say(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  };
  const std::string first = next_line(session);
  if (first.empty()) return 0;
  worker::StepMeasure measure(case_of(Json::parse(first)).options, session);
  answer({{kRanksAreReady, true}});
  for (std::string line; !(line = next_line(session)).empty();) answer(answer_to(line, measure, session));
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
