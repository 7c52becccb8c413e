// The group of one rank, on any device: copies on the stream that is passed.
#pragma once

#include <memory>

#include "parallel/group.h"

namespace ferry::parallel {

std::unique_ptr<Group> make_single_group();

}  // namespace ferry::parallel
