#include "offload/arena/host_check.h"

#include <fmt/format.h>

#include "base/error.h"
#include "offload/arena/layout.h"
#include "offload/sequential/sequential_plan.h"

namespace ferry::offload {

namespace {

std::string gb(std::size_t bytes) { return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9); }

}  // namespace

std::vector<Alternative> alternatives_of(const ArenaPlan& plan) {
  std::vector<Alternative> alternatives;
  const auto add = [&](const std::string& setting, DType dtype) {
    Options options;
    options.type = StrategyKind::Sequential;
    options.module_config["offload_dtype"] = name_of(dtype);
    const model::NetworkSpec stored = stored_spec(plan.spec, options);
    alternatives.push_back({setting, arena_layout(stored, plan.weight_ranks).bytes});
  };
  if (plan.spec.compute == DType::F32) add("model.dtype = bf16", DType::BF16);
  add(plan.spec.name + ".offload.type = sequential with module_config offload_dtype = fp8", DType::F8E4M3);
  return alternatives;
}

std::string place_of(const HostMemory& memory) {
  return memory.limited_by_cgroup ? "limit of the cgroup" : "this machine";
}

void check_host_memory(const ArenaPlan& plan, std::size_t bytes, std::size_t copies, const HostMemory& memory,
                       const std::string& where) {
  if (bytes * copies <= memory.available_bytes) return;
  std::string text = plan.spec.name + ": the weights take " + gb(bytes) + " of host memory";
  if (copies > 1) text += fmt::format(" in each of {} ranks, which share none", copies);
  text +=
      fmt::format("; {} of {} are available ({})", gb(memory.available_bytes), gb(memory.total_bytes), where);
  for (const Alternative& each : alternatives_of(plan)) {
    if (each.bytes * copies > memory.available_bytes || each.bytes >= bytes) continue;
    throw UserError(text + "; " + each.setting + " would take " + gb(each.bytes) + " and fit");
  }
  throw UserError(text + "; no setting fits: every strategy keeps one copy on the host");
}

}  // namespace ferry::offload
