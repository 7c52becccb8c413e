#include "model/defaults.h"

#include <array>

#include "model/text/prompts.h"

namespace ferry::model {

namespace {

struct Known {
  std::int64_t dim;
  std::int64_t layers;
  std::int64_t in_channels;
  ModelDefaults defaults;
};

constexpr std::array<Known, 3> kKnown = {{
    {1536, 30, 16, {.model = "Wan2.1-T2V-1.3B", .negative_prompt = kWanNegativePrompt}},
    {5120,
     40,
     16,
     {.model = "Wan2.1-T2V-14B", .width = 1280, .height = 720, .negative_prompt = kWanNegativePrompt}},
    {192,
     6,
     16,
     {.model = "demo",
      .steps = 20,
      .shift = 3.0,
      .guidance = 2.5,
      .width = 128,
      .height = 128,
      .frames = 17,
      .fps = 12.0}},
}};

}  // namespace

ModelDefaults default_job(const DitConfig& config) {
  for (const Known& known : kKnown) {
    if (known.dim == config.dim && known.layers == config.layers && known.in_channels == config.in_channels) {
      return known.defaults;
    }
  }
  return {.model = "unknown", .negative_prompt = kWanNegativePrompt};
}

}  // namespace ferry::model
