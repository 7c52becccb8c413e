// Element types and index arithmetic shared by the CPU and CUDA kernels.  Everything is constexpr, so that
// nvcc (--expt-relaxed-constexpr) accepts it on both sides and the CPU tests cover the algebra.
#pragma once

#include <bit>
#include <cstdint>

#include "base/float_bits.h"

namespace ferry::model::kernels {

// An enum rather than a struct: GCC does not vectorise loads of a struct.
enum class Bf16 : std::uint16_t {};

constexpr float to_float(float value) { return value; }
constexpr float to_float(Bf16 value) { return float_from_bf16(static_cast<std::uint16_t>(value)); }

template <typename T>
constexpr T from_float(float value);
template <>
constexpr float from_float<float>(float value) {
  return value;
}
template <>
constexpr Bf16 from_float<Bf16>(float value) {
#ifdef __CUDA_ARCH__
  // One instruction; integer arithmetic halves the speed of the row kernels.
  std::uint16_t bits = 0;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return Bf16{bits};
#else
  return Bf16{bf16_from_float(value)};
#endif
}

// `value` after rounding to T.
template <typename T>
constexpr float rounded(float value) {
  return to_float(from_float<T>(value));
}

// Neither infinite nor NaN: not all exponent bits are set.
constexpr bool is_finite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7f800000U) != 0x7f800000U;
}
constexpr bool is_finite(Bf16 value) { return (static_cast<std::uint16_t>(value) & 0x7f80U) != 0x7f80U; }

// Place of one head of every token in exchange order, which consists of pieces [s, width, D] of consecutive
// heads (parallel/ulysses.h).
struct HeadPlace {
  std::int32_t before = 0;  // heads in earlier pieces
  std::int32_t width = 0;   // heads in its piece
  std::int32_t index = 0;   // index of this head in its piece
};
static_assert(sizeof(HeadPlace) == 3 * sizeof(std::int32_t), "three columns of a tensor");

// Index, in heads, of token t, head h of [s, heads, D] in that order; without places, the order is unchanged.
constexpr std::int64_t packed_head(const HeadPlace* places, std::int64_t t, std::int64_t h, std::int64_t s,
                                   std::int64_t heads) {
  if (places == nullptr) return t * heads + h;
  const HeadPlace& place = places[h];
  return place.before * s + t * place.width + place.index;
}

// The token grid of a latent [C, frames, 2 * rows, 2 * cols] cut into patches (1, 2, 2).
struct Grid {
  std::int64_t frames = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  constexpr std::int64_t tokens() const { return frames * rows * cols; }
  friend constexpr bool operator==(const Grid&, const Grid&) = default;
};

// Offset in a latent of the given grid of channel c, corner (dy, dx) of token t's patch.
constexpr std::int64_t pixel_of(const Grid& grid, std::int64_t t, std::int64_t c, std::int64_t dy,
                                std::int64_t dx) {
  const std::int64_t col = t % grid.cols;
  const std::int64_t row = t / grid.cols % grid.rows;
  const std::int64_t frame = t / (grid.cols * grid.rows);
  return ((c * grid.frames + frame) * grid.rows * 2 + row * 2 + dy) * grid.cols * 2 + col * 2 + dx;
}

// One element of a normalised row: (x - mean) / deviation, rounded to Norm, then scaled.
//   Modulate  h * (1 + scale) + shift        Affine  h * scale + shift
enum class Scaling : std::uint8_t { Modulate, Affine };
template <typename Norm, Scaling kScaling>
constexpr float normalised(float x, float mean, float inverse_deviation, float scale, float shift) {
  const float h = (x - mean) * inverse_deviation;
  if constexpr (kScaling == Scaling::Modulate) return rounded<Norm>(h) * (1.0F + scale) + shift;
  return h * scale + shift;
}

// GELU's tanh approximation by the logistic function: x (1 + tanh(u)) / 2 = x / (1 + exp(-2 u)).
// gelu_exponent is -2 u; gelu_from takes e = exp(-|2 u|), which cannot overflow.
constexpr float gelu_exponent(float x) { return -1.5957691216057308F * (x + 0.044715F * x * x * x); }
constexpr float gelu_from(float x, float exponent, float e) {
  return (exponent > 0.0F ? x * e : x) / (1.0F + e);
}

struct Pair {
  float a = 0;
  float b = 0;
};

// (a + ib)(cos + i sin).
constexpr Pair rotate(Pair v, float cos, float sin) { return {v.a * cos - v.b * sin, v.a * sin + v.b * cos}; }

}  // namespace ferry::model::kernels
