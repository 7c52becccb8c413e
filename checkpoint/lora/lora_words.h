// Words of a LoRA's header that seem to say a scale under a name that is not read
// (checkpoint/lora/lora_config.h has those that are).  Names are compared word by word, however they are
// written: lora_alpha, loraAlpha, LORA-ALPHA.
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
  std::string name;              // "ss_network_args: alpha" of a member inside a value that is JSON
  std::string value;             // as text
  std::optional<double> number;  // the same, if it is one
};

// The hints of one name of a header and its text.  Left alone is what programs are known to write there that
// is about training or about other tensors: kohya's ss_ settings (of their objects ss_network_args alone is
// looked into; the others hold words of the data), alphas of convolutions and of masks, modelspec.*, sshs_*,
// and the graph of ComfyUI (prompt, workflow).
std::vector<ScaleHint> scale_hints(const std::string& name, const std::string& text);

}  // namespace ferry::checkpoint
