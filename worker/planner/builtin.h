// The machine files of configs/machines/, as they were when the program was built.
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace ferry::worker {

// Name and JSON text.
extern const std::array<std::pair<std::string_view, std::string_view>, 3> kBuiltinMachines;

}  // namespace ferry::worker
