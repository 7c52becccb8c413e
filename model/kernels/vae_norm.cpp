#include "model/kernels/vae_norm.h"

#include <cmath>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

template <bool kSilu, typename X, typename Y>
void normalise_pixel(const X* x, Y* y, const float* gamma, std::int64_t channels) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t c = 0; c < channels; ++c) sum += to_float(x[c]) * to_float(x[c]);
  const float scale = vae_norm_scale(std::sqrt(sum), std::sqrt(static_cast<float>(channels)));
#pragma omp simd
  for (std::int64_t c = 0; c < channels; ++c) {
    const float value = to_float(x[c]) * scale * gamma[c];
    y[c] = from_float<Y>(kSilu ? vae_silu(value) : value);
  }
}

template <bool kSilu, typename X, typename Y>
void run(const VaeNorm& a) {
  for_rows(a.pixels, a.channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
      normalise_pixel<kSilu>(static_cast<const X*>(a.x) + pixel * a.channels,
                             static_cast<Y*>(a.y) + pixel * a.channels, a.gamma, a.channels);
    }
  });
}

}  // namespace

void vae_norm(const VaeNorm& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::vae_norm(args, stream.native());
  with_type(args.x_type, [&]<typename X>(X) {
    with_type(args.y_type, [&]<typename Y>(Y) {
      if (args.silu) return run<true, X, Y>(args);
      run<false, X, Y>(args);
    });
  });
}

}  // namespace ferry::model::kernels
