#include "offload/options.h"

#include <array>

namespace ferry::offload {

std::string_view name_of(Type type) {
  static constexpr std::array<std::string_view, 5> kNames = {"none", "model", "sequential", "async", "auto"};
  return kNames[static_cast<std::size_t>(type)];
}

std::string_view name_of(Transport transport) {
  static constexpr std::array<std::string_view, 3> kNames = {"full", "sharded", "auto"};
  return kNames[static_cast<std::size_t>(transport)];
}

std::string_view name_of(Interleave interleave) {
  static constexpr std::array<std::string_view, 3> kNames = {"free", "gated", "auto"};
  return kNames[static_cast<std::size_t>(interleave)];
}

}  // namespace ferry::offload
