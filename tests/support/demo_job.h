// A job of the small model for tests of the worker.
#pragma once

#include <cstdlib>
#include <string>

#include "worker/job/options.h"

namespace ferry::testing {

inline std::string demo_model() {
  const char* source = std::getenv("FERRY_SOURCE_DIR");
  return std::string(source != nullptr ? source : ".") + "/models/demo";
}

// 80x48 and 5 frames: 2 x 3 x 5 = 30 tokens, which 4 ranks do not divide.
inline worker::Options small_job(const std::string& out) {
  worker::Options options;
  options.model.path = demo_model();
  options.model.device = "cpu";
  options.model.dtype = "fp32";
  options.job.prompt = "a red circle moving right on a black background";
  options.job.negative_prompt = "a blue square";
  options.job.width = 80;
  options.job.height = 48;
  options.job.frames = 5;
  options.job.steps = 4;
  options.job.guidance = 5.0;
  options.job.seed = 3;
  options.job.out = out;
  return options;
}

}  // namespace ferry::testing
