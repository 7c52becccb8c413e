// Words of other programs of the field (the official Wan scripts, diffusers, ComfyUI, musubi-tuner, xDiT,
// FastVideo, LightX2V, torchrun) for what is an option or a value here.
#pragma once

#include <string>
#include <string_view>

namespace ferry::launcher {

// Lower case, without '-', '_', '.' and spaces: "Num-Inference_Steps" -> "numinferencesteps".
std::string letters_of(std::string_view word);

struct KnownElsewhere {
  std::string_view key;    // here, "job.steps"
  std::string_view value;  // that belongs to it, "WIDTHxHEIGHT"; empty: whatever was given
};

// What another program's option is called here; an empty key: not known.
KnownElsewhere option_elsewhere(std::string_view word);

// True of an option of other programs for which there is none here, whatever else has a similar name: fp8 and
// the like (weights are read in the types that their files have), files of prompts.
bool is_without_counterpart(std::string_view word);

// The value here for another program's word: "bfloat16" -> "bf16", "dpmpp" -> "dpm++"; empty: not known.
std::string_view value_elsewhere(std::string_view word);

}  // namespace ferry::launcher
