// Names of tensors: the official ones, diffusers' (and transformers') ones, and the prefixes that other
// programs put before either (wan21.md sections 3, 4.6, 5.9).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

// A name without "model.diffusion_model.", "diffusion_model.", "model.", "transformer.", "module." before it
// and without "_orig_mod.", "_fsdp_wrapped_module." and "_checkpoint_wrapped_module." anywhere
// (torch.compile, FSDP and activation checkpointing put them before any submodule).
std::string without_prefix(std::string_view key);

// A pair of names for the same tensors.  '#' stands for a number, '*' at the end for the rest.
struct KeyRule {
  std::string official;
  std::string diffusers;
};

class KeyMap {
 public:
  // `vae_resnets`: residual blocks in a decoder stage, which diffusers counts per stage and the official
  // layout does not; other parts ignore it.
  explicit KeyMap(Part part, std::int64_t vae_resnets = 3);

  // Nothing for a name that no rule knows.
  std::optional<std::string> to_official(std::string_view diffusers) const;
  std::optional<std::string> to_diffusers(std::string_view official) const;
  bool is_official(std::string_view key) const { return to_diffusers(key).has_value(); }

 private:
  std::vector<KeyRule> rules_;
};

// The residual blocks of a decoder stage, read from either layout's names; 3 when they do not say.
std::int64_t vae_resnets(std::span<const std::string> keys);

// The layout that knows more of the names, or nothing when neither knows one.
std::optional<KeyLayout> detect_layout(const KeyMap& map, std::span<const std::string> keys);

// The number after `prefix`, up to a dot: number_after("blocks.12.norm", "blocks.") is 12.  Nothing when the
// key does not begin so or the number has more than four digits.
std::optional<std::int64_t> number_after(std::string_view key, std::string_view prefix);

}  // namespace ferry::checkpoint
