// The three states of a wrapped module and their use in a forward (docs/offloading.md): state onload is used
// directly if its settings equal those of the computation; otherwise, unless in state keep, the module may be
// promoted.
#pragma once

#include <cstdint>
#include <string_view>

namespace ferry::offload {

enum class State : std::uint8_t { Offload = 0, Onload = 1, Keep = 2 };

std::string_view name_of(State state);  // "offload", "onload", "keep"

enum class Use : std::uint8_t {
  Directly,  // location and dtype are as needed
  Promote,   // switch to state keep, then use directly
  Cast,      // a copy for this call; the state is unchanged
};

struct PromotionInputs {
  State state = State::Offload;
  bool onload_is_computation = false;  // same dtypes, and on the device
  bool has_limit = false;              // vram_limit is set
  bool fits = false;                   // the module would fit under it
};

Use decide_use(const PromotionInputs& inputs);

}  // namespace ferry::offload
