// The rates by which offload type auto chooses in a run (run.machine).
#pragma once

#include <optional>
#include <string>

#include "base/device.h"
#include "offload/options.h"
#include "parallel/mpi/session.h"
#include "worker/planner/rates.h"

namespace ferry::worker {

struct RunRates {
  std::optional<MachineRates> machine{};
  std::string why_none = "no rates of this machine";  // without `machine`
};

// What `given` means on a device of that name: "auto", the machine that is built in for such a GPU, if there
// is one; "none"; else a file or a built-in machine.  Throws UserError: as load_machine; rates of a GPU for a
// run on the CPU, or of a CPU for one on a GPU.
RunRates find_rates(const std::string& given, const std::string& device, bool gpu);

// The same, by the first rank for all, where the type is auto; else nothing.  Collective over the world.
// Throws UserError on every rank.
RunRates rates_of_run(const std::string& given, offload::StrategyKind type, const Device& device,
                      parallel::Session& session);

}  // namespace ferry::worker
