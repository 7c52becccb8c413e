// The device memory that umT5 takes beside its weights.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "model/text/config.h"

namespace ferry::model {

// Of one prompt of full length: the score matrix with its position biases, and the widest hidden rows.
std::size_t activation_bytes(const Umt5Config& config, DType compute);

}  // namespace ferry::model
