#include "offload/sequential/sequential_state.h"

#include <array>

namespace ferry::offload {

std::string_view name_of(State state) {
  static constexpr std::array<std::string_view, 3> kNames = {"offload", "onload", "keep"};
  return kNames[static_cast<std::size_t>(state)];
}

Use decide_use(const PromotionInputs& inputs) {
  if (inputs.state == State::Keep) return Use::Directly;
  if (inputs.state == State::Onload && inputs.onload_is_computation) return Use::Directly;
  if (inputs.has_limit && inputs.fits) return Use::Promote;
  return Use::Cast;
}

}  // namespace ferry::offload
