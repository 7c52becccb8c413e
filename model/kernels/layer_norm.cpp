#include "model/kernels/layer_norm.h"

#include <cmath>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"
#include "model/kernels/gate_residual.h"

namespace ferry::model::kernels {

namespace {

float mean_of(const float* x, std::int64_t dim) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < dim; ++i) sum += x[i];
  return sum / static_cast<float>(dim);
}

float inverse_deviation_of(const float* x, float mean, std::int64_t dim, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < dim; ++i) {
    const float d = x[i] - mean;
    sum += d * d;
  }
  return 1.0F / std::sqrt(sum / static_cast<float>(dim) + eps);
}

template <typename Norm, typename Out, Scaling kScaling>
void run(const LayerNorm& a) {
  for_rows(a.rows, a.dim, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = a.x + row * a.dim;
      Out* out = static_cast<Out*>(a.out) + row * a.dim;
      const float mean = mean_of(x, a.dim);
      const float inverse = inverse_deviation_of(x, mean, a.dim, a.eps);
#pragma omp simd
      for (std::int64_t i = 0; i < a.dim; ++i) {
        out[i] = from_float<Out>(normalised<Norm, kScaling>(x[i], mean, inverse, a.scale[i], a.shift[i]));
      }
    }
  });
}

void add_first(const LayerNorm& a, Stream& stream) {
  if (a.y == nullptr) return;
  gate_residual(
      {.x = a.x, .y = a.y, .y_type = a.y_type, .gate = a.gate, .out = a.x, .rows = a.rows, .dim = a.dim},
      stream);
}

}  // namespace

void layer_norm_modulate(const LayerNorm& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::layer_norm(args, Scaling::Modulate, stream.native());
  add_first(args, stream);
  with_type(args.norm_type, [&]<typename Norm>(Norm) {
    with_type(args.out_type, [&]<typename Out>(Out) { run<Norm, Out, Scaling::Modulate>(args); });
  });
}

void layer_norm_affine(const LayerNorm& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::layer_norm(args, Scaling::Affine, stream.native());
  add_first(args, stream);
  with_type(args.out_type, [&]<typename Out>(Out) { run<float, Out, Scaling::Affine>(args); });
}

}  // namespace ferry::model::kernels
