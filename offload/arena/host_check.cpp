#include "offload/arena/host_check.h"

#include <fmt/format.h>

#include "base/error.h"

namespace ferry::offload {

namespace {

std::string gb(std::size_t bytes) { return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9); }

}  // namespace

void check_host_memory(const ArenaPlan& plan, std::size_t copies, const HostMemory& memory,
                       const std::string& where) {
  const std::size_t bytes = plan.layout.bytes;
  if (bytes * copies <= memory.available_bytes) return;
  std::string text = plan.spec.name + ": the weights take " + gb(bytes) + " of host memory";
  if (copies > 1) text += fmt::format(" in each of {} ranks, which share none", copies);
  text +=
      fmt::format("; {} of {} are available ({})", gb(memory.available_bytes), gb(memory.total_bytes), where);
  for (const HostAlternative& each : plan.narrower) {
    if (each.bytes * copies > memory.available_bytes || each.bytes >= bytes) continue;
    throw UserError(text + "; " + each.setting + " would take " + gb(each.bytes) + " and fit");
  }
  throw UserError(text + "; no setting fits: every strategy keeps one copy on the host");
}

}  // namespace ferry::offload
