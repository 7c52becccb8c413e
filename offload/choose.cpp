#include "offload/choose.h"

#include "offload/residency.h"

namespace ferry::offload {

Options choose_strategy(const ArenaLayout& layout, const Options& options, std::size_t room) {
  if (options.type != StrategyKind::Auto) return options;
  Options chosen = options;
  chosen.type = StrategyKind::None;
  if (layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes <= room) return chosen;
  chosen.type = StrategyKind::Async;
  const auto layers = static_cast<int>(layout.blocks.size());
  for (int offloaded = 1; offloaded <= layers; ++offloaded) {
    chosen.offload_ratio = static_cast<double>(offloaded) / layers;
    if (device_bytes(layout, plan_residency("", layers, chosen)) <= room) return chosen;
  }
  chosen = options;
  chosen.type = StrategyKind::Sequential;
  return chosen;
}

}  // namespace ferry::offload
