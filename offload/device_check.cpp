#include "offload/device_check.h"

#include <fmt/format.h>

#include "base/error.h"
#include "offload/setting.h"

namespace ferry::offload {

namespace {

std::string gb(std::size_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

std::size_t charged_bytes(StrategyKind kind, const Need& need, const DeviceRoom& room) {
  return kind == StrategyKind::None && room.weights_in_place ? 0 : need.bytes;
}

// "--dit.offload.type async ... would take 1.2 GB of weights and fit", or that none does.
std::string way_out(const StagePlan& plan, std::size_t activations, const DeviceRoom& room) {
  for (const Setting& setting : settings_of(plan)) {
    const std::size_t bytes = charged_bytes(setting.use.kind, setting.use.need, room);
    if (bytes + activations > room.free_bytes) continue;
    return fmt::format("{} would take {} of weights and fit", setting.words, gb(bytes));
  }
  return "no offload type fits; a smaller size or fewer frames take less for activations";
}

}  // namespace

void check_device_memory(const StagePlan& plan, std::size_t activation_bytes, const DeviceRoom& room) {
  const std::size_t weights = charged_bytes(plan.kind, plan.need, room);
  if (weights + activation_bytes <= room.free_bytes) return;
  throw UserError(fmt::format(
      "{}: offload type {} takes {} of device memory ({}) and about {} for activations; {} of {} are free "
      "({}); {}",
      plan.stage(), name_of(plan.kind), gb(weights), plan.need.breakdown, gb(activation_bytes),
      gb(room.free_bytes), gb(room.total_bytes), room.where, way_out(plan, activation_bytes, room)));
}

}  // namespace ferry::offload
