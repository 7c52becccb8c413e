// LoRA scales in a LoRA file's header or PEFT's adapter_config.json.
//
//   adapter_config.json   PEFT's LoraConfig as a JSON object: r, lora_alpha, use_rslora, rank_pattern,
//                         alpha_pattern, ... (for patterns see checkpoint/lora/name_pattern.h)
//   header                the same object as text under lora_adapter_metadata (diffusers), lora_config
//                         (finetrainers), adapter_config, peft_config, or config if it has lora_alpha or
//                         peft_type; its names may follow a component's ("transformer.r"). Or names of
//                         the header itself: alpha, lora_alpha, network_alpha, ss_network_alpha, and r, rank,
//                         network_dim, ss_network_dim
//
// Numbers may be strings.  Settings that change more than the scale (DoRA, PiSSA, saved modules, ...) are
// refused, and so are unknown members unless they are empty, false or none.  Other names of the header that
// look like a scale (checkpoint/lora/lora_words.h) are refused unless they agree with the known settings.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/lora/name_pattern.h"

namespace ferry::checkpoint {

struct PatternValue {
  std::string text;
  NamePattern pattern;
  double value = 0;

  friend bool operator==(const PatternValue& a, const PatternValue& b) {
    return a.text == b.text && a.value == b.value;
  }
};

struct LoraConfig {
  std::string place{};                        // for messages: the file, or "FILE: metadata"
  std::optional<double> alpha{};              // for linears that match no pattern
  std::optional<double> rank{};               // for linears that match no pattern
  std::optional<bool> rslora{};               // alpha / sqrt(rank) instead of alpha / rank
  std::vector<PatternValue> alpha_pattern{};  // in file order; the first match wins
  std::vector<PatternValue> rank_pattern{};
  std::string alpha_name{};  // the member that alpha came from
  bool complete = false;     // a whole configuration, which must contain alpha; else loose names

  // True if the scale must be taken from this configuration.
  bool says_scale() const;
};

// Reads the header's metadata.  Throws UserError naming file, member and value.
LoraConfig header_lora_config(const std::string& file, const std::map<std::string, std::string>& metadata);
// Reads an adapter_config.json.  Throws as above, and if the file is not a JSON object.
LoraConfig read_adapter_config(const std::string& path);

}  // namespace ferry::checkpoint
