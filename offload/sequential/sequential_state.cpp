#include "offload/sequential/sequential_state.h"

#include <array>

namespace ferry::offload {

std::string_view name_of(State state) {
  static constexpr std::array<std::string_view, 3> kNames = {"offload", "onload", "keep"};
  return kNames[static_cast<std::size_t>(state)];
}

Use use_of(const Situation& situation) {
  if (situation.state == State::Keep) return Use::Directly;
  if (situation.state == State::Onload && situation.onload_is_computation) return Use::Directly;
  if (situation.has_limit && situation.fits) return Use::Promote;
  return Use::Cast;
}

}  // namespace ferry::offload
