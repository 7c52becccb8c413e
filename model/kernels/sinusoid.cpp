#include "model/kernels/sinusoid.h"

#include "model/kernels/cuda/launch.h"

namespace ferry::model::kernels {

void time_sinusoid(double t, float* out, std::int64_t dim, Stream& stream) {
  if (stream.native() != nullptr) return cuda::time_sinusoid(t, out, dim, stream.native());
  const std::int64_t half = dim / 2;
  for (std::int64_t j = 0; j < half; ++j) {
    const double angle = time_angle(t, j, half);
    out[j] = static_cast<float>(std::cos(angle));
    out[half + j] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace ferry::model::kernels
