// Options of a measurement that it does not use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "launcher/commands/bench.h"
#include "launcher/options/flag.h"

namespace ferry::launcher {

enum class Measures : std::uint8_t { Forward, Decode, Offload };

// Keys of `settings` without effect on it, in their order and without those of the checkpoint's own
// ferry.cfg: what says how a video is made, what is of other stages, of another offload type, or of another
// measurement, and what the lists of bench offload take the place of.  `options`: with the settings.
std::vector<std::string> unused_keys(std::span<const Setting> settings, const BenchOptions& options,
                                     Measures what);

}  // namespace ferry::launcher
