#include "model/kernels/gelu.h"

#include <bit>
#include <cmath>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

// exp(x) for x <= 0 within about 2 ulp, 1e-38 below -87; simple enough to vectorise.  Polynomial of Cephes'
// expf.
inline float exp_of_negative(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = x < -87.0F ? -87.0F : x;
  const float shifted = std::fma(x, 1.44269504088896341F, kRound);
  const float n = shifted - kRound;
  const float r = std::fma(n, 2.12194440e-4F, std::fma(n, -0.693359375F, x));
  float p = std::fma(1.9875691500e-4F, r, 1.3981999507e-3F);
  p = std::fma(p, r, 8.3334519073e-3F);
  p = std::fma(p, r, 4.1665795894e-2F);
  p = std::fma(p, r, 1.6666665459e-1F);
  p = std::fma(p, r, 5.0000001201e-1F);
  p = std::fma(p, r * r, r) + 1.0F;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23;
  return p * std::bit_cast<float>(exponent);
}

inline float gelu_of(float x) {
  const float exponent = gelu_exponent(x);
  return gelu_from(x, exponent, exp_of_negative(-std::fabs(exponent)));
}

template <typename T>
void run(T* data, std::int64_t count) {
  constexpr std::int64_t kRow = 4096;
  for_rows((count + kRow - 1) / kRow, kRow, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(count, end * kRow);
#pragma omp simd
    for (std::int64_t i = begin * kRow; i < last; ++i) data[i] = from_float<T>(gelu_of(to_float(data[i])));
  });
}

}  // namespace

void gelu_tanh(void* data, DType dtype, std::int64_t count, Stream& stream) {
  if (stream.native() != nullptr) return cuda::gelu_tanh(data, dtype, count, stream.native());
  with_type(dtype, [&]<typename T>(T) { run(static_cast<T*>(data), count); });
}

}  // namespace ferry::model::kernels
