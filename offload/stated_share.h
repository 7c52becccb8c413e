// What transport and share mean together.
//
//   full      0                          every rank copies all
//   sharded   1, or what is given        each copies its part of that share, and all of the rest
//   auto      what is given, else found while passes run (auto_share.h)
#pragma once

#include <optional>
#include <string>

#include "offload/options.h"

namespace ferry::offload {

// The two contradict each other: full with a share above 0, sharded with 0.
bool share_contradicts(const Options& options);

// The share that was asked for; nothing: it is to be measured.
// Throws UserError, which names `stage`, for one outside 0 to 1 or one that contradicts the transport.
std::optional<double> stated_share(const std::string& stage, const Options& options);

}  // namespace ferry::offload
