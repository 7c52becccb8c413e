// The factor of each linear's B A: alpha / rank, or alpha / sqrt(rank) with rslora (arXiv:2312.03732).  The
// rank is that of the shape.  Alpha is, for each linear, the first of
//
//   1. its .alpha tensor
//   2. the file's header                  checkpoint/lora/lora_config.h
//   3. adapter_config.json, if it belongs to the file
//   4. the rank
//
// (Files trained with musubi-tuner and converted to lora_A and lora_B have alpha / rank multiplied in but
// keep ss_network_alpha in the header: there it is ignored, with a note.) A lower source is not used for a
// linear that has a higher one, but a header and an adapter_config.json of the same file must not differ.  A
// pattern is matched against the linear's name in the file, with and without the prefixes of
// checkpoint/names/keys.h; one that matches none of the file's names, against the official and the diffusers
// names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ferry::checkpoint {

struct LoraLinear {
  std::string name;                      // official, for messages
  std::vector<std::string> names;        // in the file
  std::vector<std::string> other_names;  // official and diffusers
  bool peft = false;                     // its pair is named lora_A and lora_B
  std::int64_t rank = 0;
  std::optional<double> alpha;  // from its tensor
};

struct LoraScale {
  double value = 1.0;
  std::string from;  // "alpha tensors", "adapter_config.json", ...
};

struct LoraScales {
  std::vector<LoraScale> of;       // one per linear, in their order
  std::vector<std::string> notes;  // settings that had no effect
};

// Throws UserError naming the file and alpha, rank, rslora, metadata or adapter_config: an invalid value, an
// alpha of 0, a rank that is not the shape's, contradictory values, an adapter_config.json that may belong to
// another file, a scale above 10000, patterns that would take too long.
LoraScales lora_scales(const std::string& file, const std::map<std::string, std::string>& metadata,
                       std::span<const LoraLinear> linears);

}  // namespace ferry::checkpoint
