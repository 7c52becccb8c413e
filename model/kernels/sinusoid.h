// The sinusoidal embedding of the timestep (wan21.md section 2.4).
#pragma once

#include <cmath>
#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

// The angle of element j: t * 10000^(-j / half), in fp64.
inline double time_angle(double t, std::int64_t j, std::int64_t half) {
  return t * std::pow(10000.0, -static_cast<double>(j) / static_cast<double>(half));
}

// out [dim] fp32 = cosines of angle_0 .. angle_half-1, then the sines; computed in fp64, half = dim / 2.
// Queued on `stream`, whose device holds `out`; nothing is copied from the host.
void time_sinusoid(double t, float* out, std::int64_t dim, Stream& stream);

}  // namespace ferry::model::kernels
