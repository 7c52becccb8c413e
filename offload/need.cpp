#include "offload/need.h"

#include <fmt/format.h>

#include <algorithm>

#include "offload/sequential/module_image.h"

namespace ferry::offload {

Need whole_need(const ArenaLayout& layout) {
  return {.bytes = layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes,
          .breakdown = "all of its weights; async and sequential take less"};
}

Need async_need(const ArenaLayout& layout, const Residency& residency) {
  if (layout.blocks.empty()) return whole_need(layout);
  return {.bytes = device_bytes(layout, residency),
          .breakdown = fmt::format("{} slots, {} resident blocks, head and tail", residency.slots,
                                   residency.resident.size())};
}

// A call needs its result, and the module's copy before a cast.
Need sequential_need(const ArenaPlan& arena, const std::vector<ModulePlan>& modules) {
  std::size_t resident = 0;
  std::size_t call = 0;
  for (const ModulePlan& each : modules) {
    const model::ModuleSpec& module = model::module_of(arena.spec, each.id);
    if (module.host_only) continue;
    const ModulePlace computed = image_place(module, {});
    const Image stored{.place = image_place(model::module_of(arena.stored, each.id), {})};
    if (each.wrapper == Wrapper::None) {
      resident += computed.bytes;
    } else {
      call = std::max(call, computed.bytes + staging_bytes(stored, computed));
    }
  }
  return {.bytes = resident + call, .breakdown = "the largest module and what is not wrapped"};
}

}  // namespace ferry::offload
