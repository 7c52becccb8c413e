#include "offload/stated_share.h"

#include <fmt/format.h>

#include "base/error.h"

namespace ferry::offload {

bool share_contradicts(const Options& options) {
  if (!options.share || options.transport == Transport::Auto) return false;
  return (*options.share > 0) != (options.transport == Transport::Sharded);
}

std::optional<double> stated_share(const std::string& stage, const Options& options) {
  // Also rejects NaN.
  if (options.share && !(*options.share >= 0 && *options.share <= 1)) {
    throw UserError(
        fmt::format("{}.offload.share: {}; it is between 0 and 1, or auto", stage, *options.share));
  }
  if (share_contradicts(options)) {
    throw UserError(fmt::format("{}.offload.share: {}; with transport {} accepted: {}, auto", stage,
                                *options.share, name_of(options.transport),
                                options.transport == Transport::Full ? "0" : "above 0 to 1"));
  }
  if (options.share) return options.share;
  if (options.transport == Transport::Auto) return {};
  return options.transport == Transport::Sharded ? 1.0 : 0.0;
}

}  // namespace ferry::offload
