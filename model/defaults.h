// Default settings of a model (wan21.md section 6.7).
#pragma once

#include <cstdint>
#include <string_view>

#include "model/dit/config.h"

namespace ferry::model {

struct ModelDefaults {
  std::string_view model = "Wan2.1-T2V-1.3B";
  std::string_view sampler = "unipc";
  int steps = 50;
  double shift = 5.0;  // overridden by flow_shift in the checkpoint's scheduler_config.json
  double guidance = 5.0;
  std::int64_t width = 832;  // pixels
  std::int64_t height = 480;
  std::int64_t frames = 81;
  double fps = 16.0;
  std::string_view negative_prompt = "";  // for the unconditional branch; UTF-8
};

// The defaults of the model with these dimensions: Wan2.1-T2V-1.3B, Wan2.1-T2V-14B or this repository's small
// model; those of T2V-1.3B, under the model name "unknown", for others.
ModelDefaults default_job(const DitConfig& config);

}  // namespace ferry::model
