#include "model/kernels/rms_norm_rope.h"

#include <bit>
#include <cmath>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

template <typename T>
float inverse_rms(const T* z, std::int64_t dim, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < dim; ++i) sum += to_float(z[i]) * to_float(z[i]);
  return 1.0F / std::sqrt(sum / static_cast<float>(dim) + eps);
}

template <typename T>
struct HeadRow {
  const T* in;
  T* out;
  const float* weight;
  const float* rope;  // cosines, then sines; nullptr: no rotation
  float inverse;
};

template <typename T>
void write_plain(const HeadRow<T>& row, std::int64_t head_dim) {
#pragma omp simd
  for (std::int64_t i = 0; i < head_dim; ++i) {
    row.out[i] = from_float<T>(rounded<T>(to_float(row.in[i]) * row.inverse) * row.weight[i]);
  }
}

void write_rotated(const HeadRow<float>& row, std::int64_t pairs) {
#pragma omp simd
  for (std::int64_t i = 0; i < pairs; ++i) {
    const Pair turned = rotate({row.in[2 * i] * row.inverse * row.weight[2 * i],
                                row.in[2 * i + 1] * row.inverse * row.weight[2 * i + 1]},
                               row.rope[i], row.rope[pairs + i]);
    row.out[2 * i] = turned.a;
    row.out[2 * i + 1] = turned.b;
  }
}

// A pair of bf16 is handled as one 32-bit word, the first element in its low half: stores of every second
// 16-bit element do not vectorise.
void write_rotated(const HeadRow<Bf16>& row, std::int64_t pairs) {
  using Word __attribute__((may_alias)) = std::uint32_t;
  const auto* in = reinterpret_cast<const Word*>(row.in);
  auto* out = reinterpret_cast<Word*>(row.out);
#pragma omp simd
  for (std::int64_t i = 0; i < pairs; ++i) {
    const std::uint32_t word = in[i];
    const float a = rounded<Bf16>(std::bit_cast<float>(word << 16) * row.inverse) * row.weight[2 * i];
    const float b =
        rounded<Bf16>(std::bit_cast<float>(word & 0xffff0000U) * row.inverse) * row.weight[2 * i + 1];
    const Pair turned = rotate({a, b}, row.rope[i], row.rope[pairs + i]);
    const std::uint32_t high = bf16_from_float(turned.b);
    out[i] = bf16_from_float(turned.a) | high << 16;
  }
}

template <typename T>
void run(const RmsNormRope& a) {
  const std::int64_t dim = a.heads * a.head_dim;
  for_rows(a.tokens, dim, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const T* in = static_cast<const T*>(a.in) + t * dim;
      const float inverse = inverse_rms(in, dim, a.eps);
      const float* rope = a.rope != nullptr && t < a.rotated ? a.rope + t * a.head_dim : nullptr;
      for (std::int64_t h = 0; h < a.heads; ++h) {
        T* out = static_cast<T*>(a.out) + packed_head(a.places, t, h, a.tokens, a.heads) * a.head_dim;
        const HeadRow<T> row = {in + h * a.head_dim, out, a.weight + h * a.head_dim, rope, inverse};
        if (rope == nullptr) {
          write_plain(row, a.head_dim);
        } else {
          write_rotated(row, a.head_dim / 2);
        }
      }
    }
  });
}

}  // namespace

void rms_norm_rope(const RmsNormRope& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::rms_norm_rope(args, stream.native());
  with_type(args.dtype, [&]<typename T>(T) { run<T>(args); });
}

}  // namespace ferry::model::kernels
