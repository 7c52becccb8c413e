// The arithmetic of the narrow floating-point types: bits to fp32 and back, one value at a time.
//
//   bf16   1 sign, 8 exponent, 7 fraction    the upper half of an fp32
//   fp16   1 sign, 5 exponent, 10 fraction   IEEE 754 binary16
//   e4m3   1 sign, 4 exponent, 3 fraction    no infinity; 0x7f and 0xff are NaN; largest 448
//   (arXiv:2209.05433)
//
// Everything is constexpr, so the same functions run on the CPU and inside CUDA kernels, and is written
// without data-dependent branches where compilers vectorise it.
#pragma once

#include <bit>
#include <cstdint>

namespace ferry {

constexpr float float_from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Rounds to nearest even; a NaN stays a NaN.
constexpr std::uint16_t bf16_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

constexpr float float_from_fp16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  // A normal number only needs its exponent rebiased by 127 - 15; infinity and NaN twice.
  const std::uint32_t special = magnitude >= 0x7c00u ? 112u << 23 : 0u;
  const std::uint32_t normal = (magnitude << 13) + (112u << 23) + special;
  // A subnormal is magnitude * 2^-24: 0.5 + magnitude * 2^-24 has it in its low bits.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(0x3f000000u | magnitude) - 0.5f);
  return std::bit_cast<float>(sign | (magnitude < 0x0400u ? subnormal : normal));
}

// Rounds to nearest even; too large becomes infinity, a NaN stays a NaN.
constexpr std::uint16_t fp16_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14: adding 0.5 lets the addition itself round to a multiple of 2^-24.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t special = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : 0x7c00u;
  const std::uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  return static_cast<std::uint16_t>(sign | (magnitude >= 0x477ff000u ? special : finite));
}

constexpr float float_from_fp8(std::uint8_t byte) {
  const std::uint32_t sign = (byte & 0x80u) << 24;
  const std::uint32_t magnitude = byte & 0x7fu;
  const std::uint32_t normal = (magnitude << 20) + (120u << 23);
  // A subnormal is magnitude * 2^-9: 2^14 + magnitude * 2^-9 has it in its low bits.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(0x46800000u | magnitude) - 16384.0f);
  const std::uint32_t finite = magnitude < 0x08u ? subnormal : normal;
  return std::bit_cast<float>(sign | (magnitude == 0x7fu ? 0x7fc00000u : finite));
}

// Rounds to nearest even; too large and infinity become 448, a NaN stays a NaN.
constexpr std::uint8_t fp8_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - (120u << 23) + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20;
  // Below 2^-6: adding 2^14 lets the addition itself round to a multiple of 2^-9.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 16384.0f) - 0x46800000u;
  const std::uint32_t special = magnitude > 0x7f800000u ? 0x7fu : 0x7eu;
  const std::uint32_t finite = magnitude < 0x3c800000u ? subnormal : normal;
  return static_cast<std::uint8_t>(sign | (magnitude > 0x43e00000u ? special : finite));
}

// Rounds to odd: the fp32 next to `value` whose last bit marks it as inexact. Rounding the result again to a
// type with at most 22 fraction bits gives the same as rounding `value` once.
constexpr float odd_float_from_double(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
  if (back == value || (bits & 1u) != 0 || value != value) return nearest;
  // The even neighbour was chosen; the odd one lies on the value's side of it.
  const bool grow = (value < 0 ? -value : value) > (back < 0 ? -back : back);
  return std::bit_cast<float>(grow ? bits + 1u : bits - 1u);
}

}  // namespace ferry
