#include "worker/planner/run_rates.h"

#include <fmt/format.h>

#include "base/error.h"
#include "parallel/agree.h"

namespace ferry::worker {
namespace {

RunRates built_in_for(const std::string& device) {
  for (const std::string& name : builtin_machines()) {
    MachineRates machine = load_machine(name);
    if (machine.device == device) return {.machine = std::move(machine)};
  }
  return {};
}

}  // namespace

RunRates find_rates(const std::string& given, const std::string& device, bool gpu) {
  if (given == "auto") return built_in_for(device);
  if (given == "none") return {.why_none = "run.machine is none"};
  RunRates rates{.machine = load_machine(given)};
  if (rates.machine->gpu != gpu) {
    throw UserError(fmt::format("run.machine {}: its rates are those of {}; this run computes on {}", given,
                                rates.machine->device, device));
  }
  return rates;
}

RunRates rates_of_run(const std::string& given, offload::StrategyKind type, const Device& device,
                      parallel::Session& session) {
  RunRates rates;
  if (type != offload::StrategyKind::Auto) return rates;
  const std::string text = parallel::from_rank_0(session, [&] {
    rates = find_rates(given, device.name(), device.type() == DeviceType::Cuda);
    return rates.machine ? to_json(*rates.machine) : "";
  });
  if (session.rank() != 0 && !text.empty()) rates.machine = machine_from_json(text, "run.machine");
  return rates;
}

}  // namespace ferry::worker
