// The factor of each linear's B A: alpha / rank, or alpha / sqrt(rank) where rslora (arXiv:2312.03732) is
// said. The rank is the shape's.  Alpha is, linear by linear,
//
//   1. its .alpha tensor
//   2. what the file's header says        checkpoint/lora/lora_config.h
//   3. what adapter_config.json says, if it belongs to the file
//   4. the rank, when none of them says anything
//
// (A file that musubi-tuner trained and converted to lora_A and lora_B has alpha / rank multiplied in and
// keeps ss_network_alpha in its header: there it counts as not said, with a note.) A lower one is not asked
// for a linear that has a higher one, but a header and an adapter_config.json of the same file may not say
// two scales.  A pattern is compared with the linear's name in the file, with and without the prefixes of
// checkpoint/names/keys.h; one that suits none of the file's names, with the official and the diffusers
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
  std::vector<std::string> names;        // as in the file
  std::vector<std::string> other_names;  // official and diffusers
  bool peft = false;                     // a pair called lora_A and lora_B
  std::int64_t rank = 0;
  std::optional<double> alpha;  // of its tensor
};

struct LoraScale {
  double value = 1.0;
  std::string from;  // "alpha tensors", "adapter_config.json", ...
};

struct LoraScales {
  std::vector<LoraScale> of;       // as many as linears, in their order
  std::vector<std::string> notes;  // what was said and used for nothing
};

// Throws UserError naming the file and alpha, rank, rslora, metadata or adapter_config: a value that cannot
// be used, an alpha of 0, a rank that is not the shape's, two that contradict each other, an
// adapter_config.json that may belong to another file, a scale above 10000, patterns that would take long.
LoraScales lora_scales(const std::string& file, const std::map<std::string, std::string>& metadata,
                       std::span<const LoraLinear> linears);

}  // namespace ferry::checkpoint
