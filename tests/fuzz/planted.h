// Targets with a fault that must be found.
#pragma once

#include <string_view>

#include "tests/fuzz/target.h"

namespace ferry::fuzz {

// lines: refuses in two lines; exception: throws no UserError; crash; hang; memory: takes 1 GiB; and what
// only sanitizers see: beyond: reads one byte behind the input; undefined: overflows an int. Throws
// std::invalid_argument for another name.
Target planted_target(std::string_view name);

}  // namespace ferry::fuzz
