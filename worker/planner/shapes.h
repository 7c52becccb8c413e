// The networks of a model as shapes: what a plan needs of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/network/distilled.h"
#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"

namespace ferry::worker {

struct ModelShapes {
  std::string name;
  model::DitConfig dit;
  int experts = 1;  // DiTs of these shapes, one of which samples at a time
  std::optional<model::VaeConfig> vae;
  std::optional<model::Umt5Config> text;
  std::vector<std::string> notes;                    // what is not counted, one line each
  std::optional<checkpoint::Distilled> distilled{};  // what the DiT's files say
};

// "1.3B", "14B", "A14B" (two experts of 14B), or a checkpoint folder, of which only headers are read; its VAE
// and text encoder may be missing.  Throws UserError: neither; a folder whose DiT cannot be used.
ModelShapes model_shapes(const std::string& folder_or_name);

// The DiT of "1.3B" or "14B", unless there is a file or folder of that name.
std::optional<model::DitConfig> dit_by_name(const std::string& name);

// Device bytes of a LoRA where it is added while computing (offload type sequential) and not merged into the
// weights; what does not fit the DiT is left out.  Throws UserError as checkpoint::LoraFile::open does.
std::size_t lora_bytes(const std::string& path, const model::DitConfig& dit, DType compute);

}  // namespace ferry::worker
