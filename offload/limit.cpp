#include "offload/limit.h"

#include <fmt/format.h>

#include "base/error.h"

namespace ferry::offload {

std::optional<std::size_t> limit_bytes(const Options& options) {
  if (!options.vram_limit) return std::nullopt;
  return static_cast<std::size_t>(*options.vram_limit * kGiB);
}

void check_limit(const std::string& stage, const Options& options, const Need& need) {
  // Not-a-number fails this too.
  if (options.vram_limit && !(*options.vram_limit > 0)) {
    throw UserError(fmt::format("{}.offload.vram_limit: {} GiB; it is above 0", stage, *options.vram_limit));
  }
  const std::optional<std::size_t> limit = limit_bytes(options);
  if (!limit || *limit >= need.bytes) return;
  throw UserError(fmt::format("{}.offload.vram_limit: {} GiB; {} needs at least {:.4f} GiB ({})", stage,
                              *options.vram_limit, name_of(options.type),
                              static_cast<double>(need.bytes) / kGiB, need.made_of));
}

}  // namespace ferry::offload
