#include "model/kernels/gate_residual.h"

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

template <typename Y>
void add_row(const float* x, const Y* y, const float* gate, float* out, std::int64_t dim) {
  if (gate == nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < dim; ++i) out[i] = x[i] + to_float(y[i]);
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < dim; ++i) out[i] = x[i] + to_float(y[i]) * gate[i];
}

template <typename Y>
void run(const GateResidual& a) {
  for_rows(a.rows, a.dim, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t at = row * a.dim;
      add_row(a.x + at, static_cast<const Y*>(a.y) + at, a.gate, a.out + at, a.dim);
    }
  });
}

}  // namespace

void gate_residual(const GateResidual& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::gate_residual(args, stream.native());
  with_type(args.y_type, [&]<typename Y>(Y) { run<Y>(args); });
}

}  // namespace ferry::model::kernels
