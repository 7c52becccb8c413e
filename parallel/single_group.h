// A group of one rank, on any device: copies on the given stream.
#pragma once

#include <memory>

#include "parallel/group.h"

namespace ferry::parallel {

std::unique_ptr<Group> make_single_group();

}  // namespace ferry::parallel
