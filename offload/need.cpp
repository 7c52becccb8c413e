#include "offload/need.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "offload/arena/layout.h"
#include "offload/residency.h"
#include "offload/sequential/module_image.h"
#include "offload/sequential/sequential_plan.h"

namespace ferry::offload {

namespace {

std::string gb(std::size_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

Need whole_need(const ArenaLayout& layout) {
  return {.bytes = layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes,
          .made_of = "all of its weights; async and sequential take less"};
}

Need async_need(const ArenaPlan& plan, const ArenaLayout& layout, const Options& options) {
  if (layout.blocks.empty()) return whole_need(layout);
  const Residency residency = plan_residency(plan.spec.name, static_cast<int>(layout.blocks.size()), options);
  return {.bytes = device_bytes(layout, residency),
          .made_of = fmt::format("{} slots, {} resident blocks, head and tail", residency.slots,
                                 residency.resident.size())};
}

// What is not wrapped, and the largest call: its result, and its copy before a cast.
Need sequential_need(const ArenaPlan& plan, const Options& options) {
  std::size_t resident = 0;
  std::size_t call = 0;
  for (const ModulePlan& each : plan_sequential(plan.spec, options)) {
    const model::ModuleSpec& module = model::module_of(plan.spec, each.id);
    if (module.host_only) continue;
    const ModulePlace computed = image_place(module, {});
    const Image stored{.place = image_place(model::module_of(plan.stored, each.id), {})};
    if (each.wrapper == Wrapper::None) {
      resident += computed.bytes;
    } else {
      call = std::max(call, computed.bytes + staging_bytes(stored, computed));
    }
  }
  return {.bytes = resident + call, .made_of = "the largest module and what is not wrapped"};
}

// The same stage under another type, with the plainest settings of it; the host's dtypes stay.
Need need_of_type(const ArenaPlan& plan, const Options& options, StrategyKind type) {
  Options other = options;
  other.type = type;
  other.offload_ratio = 1.0;
  other.prefetch_size = 1;
  return least_need(plan, other);
}

std::size_t taken(const Need& need, StrategyKind type, const Room& room) {
  return type == StrategyKind::None && room.weights_in_place ? 0 : need.bytes;
}

// "dit.offload.type = async would take 1.2 GB and fit", or that none does.
std::string way_out(const ArenaPlan& plan, const Options& options, std::size_t activations,
                    const Room& room) {
  for (const StrategyKind type : {StrategyKind::None, StrategyKind::Async, StrategyKind::Sequential}) {
    const std::size_t bytes = taken(need_of_type(plan, options, type), type, room);
    if (bytes + activations > room.free_bytes) continue;
    const char* more = type == StrategyKind::Async ? " with offload_ratio = 1 and prefetch_size = 1" : "";
    return fmt::format("{}.offload.type = {}{} would take {} of weights and fit", plan.spec.name,
                       name_of(type), more, gb(bytes));
  }
  return "no offload type fits; a smaller size or fewer frames take less for activations";
}

}  // namespace

Need least_need(const ArenaPlan& plan, const Options& options) {
  const ArenaLayout layout = arena_layout(plan.stored, plan.weight_ranks);
  if (options.type == StrategyKind::Async) return async_need(plan, layout, options);
  if (options.type == StrategyKind::Sequential) return sequential_need(plan, options);
  // Auto falls back to sequential, after async with the options that were given.
  if (options.type != StrategyKind::Auto) return whole_need(layout);
  async_need(plan, layout, options);
  return sequential_need(plan, options);
}

void check_device_memory(const ArenaPlan& plan, const Options& options, std::size_t activation_bytes,
                         const Room& room) {
  const Need need = least_need(plan, options);
  const std::size_t weights = taken(need, options.type, room);
  if (weights + activation_bytes <= room.free_bytes) return;
  throw UserError(fmt::format(
      "{}: offload type {} takes {} of device memory ({}) and about {} for activations; {} of {} are free "
      "({}); {}",
      plan.spec.name, name_of(options.type), gb(weights), need.made_of, gb(activation_bytes),
      gb(room.free_bytes), gb(room.total_bytes), room.where, way_out(plan, options, activation_bytes, room)));
}

}  // namespace ferry::offload
