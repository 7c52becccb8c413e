// What files say of the sampling steps for which a network, or a LoRA, was distilled.
//
//   denoising_step_list  [1000, 750, 500, 250] (LightX2V, Self-Forcing)
//                        in a config.json, or as text in the header of a safetensors file
//   sampler              step_distill, in such a header: 4 steps
#pragma once

#include <map>
#include <optional>
#include <string>

namespace ferry::checkpoint {

struct Distilled {
  int steps = 0;     // N of the timesteps 1000 (1 - k / N); 0: the list is another one
  std::string from;  // "denoising_step_list of FILE"
};

// Of a file's header; nothing if it does not say.
std::optional<Distilled> distilled_by_header(const std::map<std::string, std::string>& metadata,
                                             const std::string& file);
// Of a config.json; nothing if it does not say, or if `path` is empty.  Throws UserError if it is damaged.
std::optional<Distilled> distilled_by_config(const std::string& path);

// The first of the two that has steps, else the first that says anything.
std::optional<Distilled> first_with_steps(const std::optional<Distilled>& first,
                                          const std::optional<Distilled>& second);

// The word in a path's names by which files of step-distilled models are known: "step_distill", "lightx2v" or
// "lightning", in any spelling; empty if there is none.  Looked at are the last name, the folder of an
// adapter_model*.safetensors (PEFT), and what snapshots/ is in (checkpoint/folder/hub_folder.h).
std::string distilled_by_name(const std::string& path);

}  // namespace ferry::checkpoint
