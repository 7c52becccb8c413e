// What a wrapped module does when it is called, as a table of its state and settings (type `sequential`).
//
//   state          settings             room under vram_limit   action
//   2 keep         any                  -                       Use   the kept copy
//   1 onload       onload == compute    -                       Use   the onloaded copy
//   1 onload       onload != compute    yes                     Keep  promote to state 2, then use
//   1 onload       onload != compute    no, or limit unset      Cast  for this call, from the onloaded copy
//   0 offload      any                  yes                     Keep  promote to state 2, then use
//   0 offload      any                  no, or limit unset      Cast  for this call, from the offloaded copy
//
// The source document lists "onload equals computation" before the limit for every state; taken literally,
// vram_limit would never promote with equal settings, so that row holds in state 1 only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "offload/module_config.h"

namespace ferry::offload {

enum class State : std::uint8_t { Offload = 0, Onload = 1, Keep = 2 };
enum class Action : std::uint8_t { Use, Keep, Cast };

// Accounted device bytes a promotion has to fit in.
struct Room {
  std::optional<std::size_t> limit_bytes;  // vram_limit; unset: never promote
  std::size_t used_bytes = 0;              // accounted now, this module's copies included
  std::size_t extra_bytes = 0;             // what keeping this module adds

  bool fits() const { return limit_bytes && used_bytes + extra_bytes <= *limit_bytes; }
};

inline Action next_action(State state, const ModuleConfig& config, const Room& room) {
  if (state == State::Keep) return Action::Use;
  if (state == State::Onload && config.onload == config.computation) return Action::Use;
  return room.fits() ? Action::Keep : Action::Cast;
}

}  // namespace ferry::offload
