#include "checkpoint/names/keys.h"

#include <algorithm>
#include <array>

#include "checkpoint/names/key_rules.h"

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kMostDigits = 4;

std::size_t digits_at(std::string_view text) {
  const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  return count <= kMostDigits ? count : 0;
}

struct Match {
  std::string_view number;  // matched by '#'
  std::string_view rest;    // matched by '*'
};

std::optional<Match> match(std::string_view key, std::string_view pattern) {
  Match found;
  for (; !pattern.empty(); pattern.remove_prefix(1)) {
    if (pattern[0] == '*') {
      found.rest = key;
      return key.empty() ? std::nullopt : std::optional(found);
    }
    if (pattern[0] == '#') {
      const std::size_t digits = digits_at(key);
      if (digits == 0) return {};
      found.number = key.substr(0, digits);
      key.remove_prefix(digits);
      continue;
    }
    if (key.empty() || key[0] != pattern[0]) return {};
    key.remove_prefix(1);
  }
  return key.empty() ? std::optional(found) : std::nullopt;
}

std::string fill(std::string_view pattern, const Match& found) {
  std::string text;
  for (const char c : pattern) {
    if (c == '#') {
      text += found.number;
    } else if (c == '*') {
      text += found.rest;
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

std::string without_prefix(std::string_view key) {
  constexpr std::array<std::string_view, 5> kPrefixes = {"model.diffusion_model.", "diffusion_model.",
                                                         "model.", "transformer.", "module."};
  constexpr std::array<std::string_view, 3> kWrappers = {"_orig_mod.", "_fsdp_wrapped_module.",
                                                         "_checkpoint_wrapped_module."};
  std::string name(key);
  for (const std::string_view wrapper : kWrappers) {
    for (std::size_t at = name.find(wrapper); at != std::string::npos; at = name.find(wrapper)) {
      name.erase(at, wrapper.size());
    }
  }
  for (std::size_t i = 0; i < kPrefixes.size();) {
    if (name.starts_with(kPrefixes[i])) {
      name.erase(0, kPrefixes[i].size());
      i = 0;
    } else {
      ++i;
    }
  }
  return name;
}

KeyMap::KeyMap(Part part, std::int64_t vae_resnets) {
  switch (part) {
    case Part::Dit:
      rules_ = dit_key_rules();
      break;
    case Part::Vae:
      rules_ = vae_key_rules(vae_resnets);
      break;
    case Part::TextEncoder:
      rules_ = umt5_key_rules();
      break;
  }
}

std::optional<std::string> KeyMap::to_official(std::string_view diffusers) const {
  for (const KeyRule& rule : rules_) {
    if (const auto found = match(diffusers, rule.diffusers)) return fill(rule.official, *found);
  }
  return {};
}

std::optional<std::string> KeyMap::to_diffusers(std::string_view official) const {
  for (const KeyRule& rule : rules_) {
    if (const auto found = match(official, rule.official)) return fill(rule.diffusers, *found);
  }
  return {};
}

std::int64_t vae_resnets(std::span<const std::string> keys) {
  constexpr std::int64_t kMost = 16;
  std::int64_t resnets = 0;
  std::int64_t first_upsampler = kMost + 1;
  for (const std::string& key : keys) {
    if (const auto index = number_after(key, "decoder.up_blocks.0.resnets."))
      resnets = std::max(resnets, *index + 1);
    const auto flat = number_after(key, "decoder.upsamples.");
    if (flat && key.find(".resample.") != std::string::npos)
      first_upsampler = std::min(first_upsampler, *flat);
  }
  if (resnets == 0 && first_upsampler > 0) resnets = first_upsampler;
  return resnets >= 1 && resnets <= kMost ? resnets : 3;
}

std::optional<KeyLayout> detect_layout(const KeyMap& map, std::span<const std::string> keys) {
  const auto official =
      std::count_if(keys.begin(), keys.end(), [&](const auto& key) { return map.is_official(key); });
  const auto diffusers = std::count_if(keys.begin(), keys.end(),
                                       [&](const auto& key) { return map.to_official(key).has_value(); });
  if (official == 0 && diffusers == 0) return {};
  return official >= diffusers ? KeyLayout::Official : KeyLayout::Diffusers;
}

std::optional<std::int64_t> number_after(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix)) return {};
  key.remove_prefix(prefix.size());
  const std::size_t digits = digits_at(key);
  if (digits == 0 || digits == key.size() || key[digits] != '.') return {};
  return std::stoll(std::string(key.substr(0, digits)));
}

}  // namespace ferry::checkpoint
