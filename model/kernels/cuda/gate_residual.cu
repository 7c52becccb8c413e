#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

template <typename Y, int kWidth>
__global__ void gate_residual_row(const GateResidual a) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * a.dim;
  const Y* y_row = static_cast<const Y*>(a.y) + row;
  for (std::int64_t c = threadIdx.x * kWidth; c < a.dim; c += kThreads * kWidth) {
    auto x = load<kWidth>(a.x + row + c);
    add_gated<kWidth>(x, load<kWidth>(y_row + c), a.gate, c);
    store<kWidth>(a.out + row + c, x);
  }
}

template <typename Y>
void launch(const GateResidual& a, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(a.rows);
  const bool wide = aligned(16, a.dim * 4, a.x, a.gate, a.out) &&
                    aligned(4 * sizeof(Y), a.dim * sizeof(Y), static_cast<const Y*>(a.y));
  if (wide) {
    gate_residual_row<Y, 4><<<rows, kThreads, 0, stream>>>(a);
  } else {
    gate_residual_row<Y, 1><<<rows, kThreads, 0, stream>>>(a);
  }
  check_launch("gate_residual");
}

}  // namespace

void gate_residual(const GateResidual& args, void* stream) {
  if (args.rows == 0) return;
  with_type(args.y_type, [&]<typename Y>(Y) { launch<Y>(args, as_stream(stream)); });
}

}  // namespace ferry::model::kernels::cuda
