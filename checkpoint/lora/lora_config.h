// What a LoRA file's header or PEFT's adapter_config.json says about the scale of the file's linears.
//
//   adapter_config.json   PEFT's LoraConfig as a JSON object: r, lora_alpha, use_rslora, rank_pattern,
//                         alpha_pattern, ... (its patterns: checkpoint/lora/name_pattern.h)
//   header                the same object as text under lora_adapter_metadata (diffusers), lora_config
//                         (finetrainers), adapter_config, peft_config, or config where it has lora_alpha or
//                         peft_type; its names perhaps behind a component's ("transformer.r"); or names of
//                         the header itself: alpha, lora_alpha, network_alpha, ss_network_alpha, and r, rank,
//                         network_dim, ss_network_dim
//
// A number may be a text that holds one.  What would change more than the scale (DoRA, PiSSA, saved modules,
// ...) is refused, and so is a member that this file does not know unless it is empty, false or none.  Of
// other names of the header those that seem to say a scale (checkpoint/lora/lora_words.h) are refused,
// unless what is known says the same.
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
  std::optional<double> alpha{};              // of the linears that no pattern suits
  std::optional<double> rank{};               // the same
  std::optional<bool> rslora{};               // alpha / sqrt(rank) instead of alpha / rank
  std::vector<PatternValue> alpha_pattern{};  // in the order of the file: the first that suits counts
  std::vector<PatternValue> rank_pattern{};
  std::string alpha_name{};  // the member that said alpha
  bool complete = false;     // a whole configuration, of which alpha must be a part; else loose names

  // Whether a scale can and must be taken from it.
  bool says_scale() const;
};

// The header's metadata.  Throws UserError naming file, member and value.
LoraConfig header_lora_config(const std::string& file, const std::map<std::string, std::string>& metadata);
// An adapter_config.json.  Throws the same, and for a file that is no JSON object.
LoraConfig read_adapter_config(const std::string& path);

}  // namespace ferry::checkpoint
