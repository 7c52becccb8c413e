// The three states of a wrapped module and what a forward does in each (docs/offloading.md): one in state
// onload is used directly when its settings are those of the computation; every other one, but those in
// state keep, may be promoted.
#pragma once

#include <cstdint>
#include <string_view>

namespace ferry::offload {

enum class State : std::uint8_t { Offload = 0, Onload = 1, Keep = 2 };

std::string_view name_of(State state);  // "offload", "onload", "keep"

enum class Use : std::uint8_t {
  Directly,  // the weights are where and what the computation needs
  Promote,   // keep(), then directly
  Cast,      // a copy for this call; the state stays
};

struct PromotionInputs {
  State state = State::Offload;
  bool onload_is_computation = false;  // same dtypes, and on the device
  bool has_limit = false;              // vram_limit is set
  bool fits = false;                   // one more module would stay under it
};

Use decide_use(const PromotionInputs& inputs);

}  // namespace ferry::offload
