// Noise levels of the samplers (wan21.md sections 6.1, 6.2, 6.3 and 11.4).
#pragma once

#include "model/sampler/sampler.h"

namespace ferry::model {

// Time shift of a noise level: shift sigma / (1 + (shift - 1) sigma).
double shifted(double sigma, double shift);

// UniPC's official grid: evenly spaced from 0.999 (the fp32 value) to 0, shifted; timesteps truncated.
Schedule unipc_schedule(int steps, double shift);

// Evenly spaced from exactly 1 to 0, shifted; timesteps truncated.
Schedule dpmpp_schedule(int steps, double shift);

// Noise levels of dpmpp_schedule; timesteps 1000 sigma, not truncated.
Schedule euler_schedule(int steps, double shift);

// Levels of timesteps 1000, 1000 - d, ..., d of a schedule with shift 1, d = 1000 / steps, shifted; timesteps
// 1000 sigma, not truncated.  Throws std::invalid_argument unless `steps` divides 1000.
Schedule distill_schedule(int steps, double shift);

}  // namespace ferry::model
