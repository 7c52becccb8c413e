// type = auto: the fastest strategy that fits.
#pragma once

#include <cstddef>

#include "offload/arena/layout.h"
#include "offload/options.h"

namespace ferry::offload {

// `options` with a type other than Auto, for `room` bytes of device memory that weights may take: none where
// everything fits, else async with as many resident blocks as fit (its offload_ratio is set), else
// sequential.  Options of another type are returned as they are.
Options choose_strategy(const ArenaLayout& layout, const Options& options, std::size_t room);

}  // namespace ferry::offload
