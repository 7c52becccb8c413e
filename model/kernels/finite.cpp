#include "model/kernels/finite.h"

#include <atomic>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

template <typename T>
void run(const T* data, std::int64_t count, std::uint32_t* flag) {
  constexpr std::int64_t kRow = 4096;
  for_rows((count + kRow - 1) / kRow, kRow, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(count, end * kRow);
    std::uint32_t bad = 0;
#pragma omp simd reduction(| : bad)
    for (std::int64_t i = begin * kRow; i < last; ++i) bad |= is_finite(data[i]) ? 0U : 1U;
    if (bad != 0) std::atomic_ref(*flag).store(1, std::memory_order_relaxed);
  });
}

}  // namespace

void flag_not_finite(const void* data, DType dtype, std::int64_t count, std::uint32_t* flag, Stream& stream) {
  if (stream.native() != nullptr) return cuda::flag_not_finite(data, dtype, count, flag, stream.native());
  with_type(dtype, [&]<typename T>(T) { run(static_cast<const T*>(data), count, flag); });
}

}  // namespace ferry::model::kernels
