// Detects names in a LoRA's header that look like a scale but are not read (checkpoint/lora/lora_config.h
// lists those that are).  Names are compared word by word, in any spelling: lora_alpha, loraAlpha,
// LORA-ALPHA.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ferry::checkpoint {

enum class ScaleWord : std::uint8_t {
  Alpha,   // "my_alpha": any value
  Scale,   // "lora_scale", "scaling": a number other than 1
  Rslora,  // "rs_lora", "rank_stabilized": neither off nor 0
};

struct ScaleHint {
  ScaleWord word = ScaleWord::Alpha;
  std::string name;              // "ss_network_args: alpha" for a member of a JSON value
  std::string value;             // as text
  std::optional<double> number;  // `value`, if it is a number
};

// Returns the hints in one name of a header and its text.  Skips what programs are known to write about
// training or other tensors: kohya's ss_ settings (of their objects only ss_network_args is searched; the
// others hold words of the data), alphas of convolutions and of masks, modelspec.*, sshs_*, and ComfyUI's
// graph (prompt, workflow).
std::vector<ScaleHint> scale_hints(const std::string& name, const std::string& text);

}  // namespace ferry::checkpoint
