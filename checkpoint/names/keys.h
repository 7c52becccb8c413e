// Tensor names: official ones, those of diffusers (and transformers), and the prefixes that other programs
// add (wan21.md sections 3, 4.6, 5.9).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

// Strips a leading "model.diffusion_model.", "diffusion_model.", "model.", "transformer." or "module.", and
// "_orig_mod.", "_fsdp_wrapped_module." and "_checkpoint_wrapped_module." anywhere (torch.compile, FSDP and
// activation checkpointing insert them before any submodule).
std::string without_prefix(std::string_view key);

// A pair of names for the same tensors. '#' matches a number, a trailing '*' the rest.
struct KeyRule {
  std::string official;
  std::string diffusers;
};

class KeyMap {
 public:
  // `vae_resnets`: residual blocks per decoder stage, which diffusers numbers per stage and the official
  // layout does not; ignored for other parts.
  explicit KeyMap(Part part, std::int64_t vae_resnets = 3);

  // Returns nothing if no rule matches.
  std::optional<std::string> to_official(std::string_view diffusers) const;
  std::optional<std::string> to_diffusers(std::string_view official) const;
  bool is_official(std::string_view key) const { return to_diffusers(key).has_value(); }

 private:
  std::vector<KeyRule> rules_;
};

// Residual blocks per decoder stage, from either layout's names; 3 if they do not tell.
std::int64_t vae_resnets(std::span<const std::string> keys);

// The layout that matches more of the names, or nothing if neither matches any.
std::optional<KeyLayout> detect_layout(const KeyMap& map, std::span<const std::string> keys);

// The number after `prefix`, up to a dot: number_after("blocks.12.norm", "blocks.") is 12.  Nothing if the
// key does not start with it or the number has more than four digits.
std::optional<std::int64_t> number_after(std::string_view key, std::string_view prefix);

}  // namespace ferry::checkpoint
