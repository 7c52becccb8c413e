// Names in other programs (the official Wan scripts, diffusers, ComfyUI, musubi-tuner, xDiT, FastVideo,
// LightX2V, torchrun) for options and values of this one.
#pragma once

#include <string>
#include <string_view>

namespace ferry::launcher {

// Normalises a name: lower case, without '-', '_', '.' and spaces: "Num-Inference_Steps" ->
// "numinferencesteps".
std::string letters_of(std::string_view word);

struct KnownElsewhere {
  std::string_view key;    // Ferry's key, "job.steps"
  std::string_view value;  // its value, "WIDTHxHEIGHT"; empty: as given
};

// Ferry's name for another program's option; an empty key if unknown.
KnownElsewhere option_elsewhere(std::string_view word);

// True for options of other programs without a counterpart here, even if a similar name exists: fp8 and the
// like (weights are read in the types of their files), files of prompts.
bool is_without_counterpart(std::string_view word);

// Ferry's value for another program's: "bfloat16" -> "bf16", "dpmpp" -> "dpm++"; empty if unknown.
std::string_view value_elsewhere(std::string_view word);

}  // namespace ferry::launcher
