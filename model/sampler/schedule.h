// Noise levels of the samplers (wan21.md sections 6.1, 6.2, 6.3 and 11.4).
#pragma once

#include "model/sampler/sampler.h"

namespace ferry::model {

// The time shift: noise level `sigma` of a schedule with shift 1 becomes shift sigma / (1 + (shift - 1)
// sigma).
double shifted(double sigma, double shift);

// UniPC's official grid: even from 0.999 (the fp32 value) to 0, shifted; timesteps truncated.
Schedule unipc_schedule(int steps, double shift);

// From exactly 1, even to 0, shifted; timesteps truncated.
Schedule dpmpp_schedule(int steps, double shift);

// The noise levels of dpmpp_schedule; timesteps 1000 sigma as they are.
Schedule euler_schedule(int steps, double shift);

// The levels of timesteps 1000, 1000 - d, ..., d of a schedule with shift 1, d = 1000 / steps; timesteps
// 1000 sigma as they are.  Throws std::invalid_argument unless `steps` divides 1000.
Schedule distill_schedule(int steps, double shift);

}  // namespace ferry::model
