// Meaning of transport and share together.
//
//   full      0                          every rank copies all
//   sharded   1, or as given             each copies its part of the share, and all of the rest
//   auto      as given, else measured    determined during passes (auto_share.h)
#pragma once

#include <optional>
#include <string>

#include "offload/options.h"

namespace ferry::offload {

// True if they contradict each other: full with a share above 0, sharded with 0.
bool share_contradicts(const Options& options);

// The share asked for; unset: to be measured.
// Throws UserError, which names `stage`, for a share outside 0 to 1 or one that contradicts the transport.
std::optional<double> stated_share(const std::string& stage, const Options& options);

}  // namespace ferry::offload
