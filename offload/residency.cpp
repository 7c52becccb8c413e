#include "offload/residency.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ferry::offload {

Residency spread_residency(int layers, int offloaded, int prefetch) {
  Residency plan;
  for (int block = 0; block < layers; ++block) {
    const bool ferried = (block + 1) * offloaded / layers != block * offloaded / layers;
    (ferried ? plan.offloaded : plan.resident).push_back(block);
  }
  plan.slots = std::min(prefetch + 1, offloaded);
  return plan;
}

Residency plan_residency(const std::string& stage, int layers, const Options& options) {
  // Also rejects NaN.
  if (!(options.offload_ratio >= 0 && options.offload_ratio <= 1)) {
    throw UserError(
        fmt::format("{}.offload.offload_ratio: {}; it is between 0 and 1", stage, options.offload_ratio));
  }
  if (options.prefetch_size < 1 || options.prefetch_size > layers) {
    throw UserError(
        fmt::format("{}.offload.prefetch_size: {}; it is between 1 and the {} blocks of the network", stage,
                    options.prefetch_size, layers));
  }
  const auto offloaded = static_cast<int>(std::lround(options.offload_ratio * layers));
  return spread_residency(layers, offloaded, options.prefetch_size);
}

std::size_t slot_bytes(const ArenaLayout& layout, const Residency& residency) {
  std::size_t largest = 0;
  for (const int block : residency.offloaded) largest = std::max(largest, block_of(layout, block).blob.bytes);
  return largest;
}

std::size_t device_bytes(const ArenaLayout& layout, const Residency& residency) {
  std::size_t bytes = layout.head.blob.bytes + layout.tail.blob.bytes;
  for (const int block : residency.resident) bytes += block_of(layout, block).blob.bytes;
  return bytes + static_cast<std::size_t>(residency.slots) * slot_bytes(layout, residency);
}

std::string to_text(const Residency& residency) {
  return fmt::format("{} slots, offloaded [{}]", residency.slots, fmt::join(residency.offloaded, " "));
}

}  // namespace ferry::offload
