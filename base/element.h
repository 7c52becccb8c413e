// Storage and conversion of one element of a DType: the arithmetic shared by ferry::convert and the CUDA cast
// kernel.  Only the five floating-point types convert.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "base/float_bits.h"

namespace ferry {

template <DType type>
struct Element;

template <>
struct Element<DType::F64> {
  using Stored = double;
  static constexpr double wide(double x) { return x; }
  template <class Wide>
  static constexpr double narrow(Wide x) {
    return x;
  }
};

template <>
struct Element<DType::F32> {
  using Stored = float;
  static constexpr float wide(float x) { return x; }
  template <class Wide>
  static constexpr float narrow(Wide x) {
    return static_cast<float>(x);
  }
};

// Prepares a value for rounding to a type narrower than fp32.
constexpr float before_narrowing(float x) { return x; }
constexpr float before_narrowing(double x) { return odd_float_from_double(x); }

template <>
struct Element<DType::F16> {
  using Stored = std::uint16_t;
  static constexpr float wide(std::uint16_t x) { return float_from_fp16(x); }
  template <class Wide>
  static constexpr std::uint16_t narrow(Wide x) {
    return fp16_from_float(before_narrowing(x));
  }
};

template <>
struct Element<DType::BF16> {
  using Stored = std::uint16_t;
  static constexpr float wide(std::uint16_t x) { return float_from_bf16(x); }
  template <class Wide>
  static constexpr std::uint16_t narrow(Wide x) {
    return bf16_from_float(before_narrowing(x));
  }
};

template <>
struct Element<DType::F8E4M3> {
  using Stored = std::uint8_t;
  static constexpr float wide(std::uint8_t x) { return float_from_fp8(x); }
  template <class Wide>
  static constexpr std::uint8_t narrow(Wide x) {
    return fp8_from_float(before_narrowing(x));
  }
};

template <DType type>
using Stored = typename Element<type>::Stored;

template <DType dst, DType src>
constexpr Stored<dst> convert_element(Stored<src> x) {
  return Element<dst>::narrow(Element<src>::wide(x));
}

template <DType type>
using DTypeConstant = std::integral_constant<DType, type>;

// Calls visit(DTypeConstant<t>{}) for the floating-point type `type`; returns false if it is not one.
template <class Visit>
bool with_float_type(DType type, Visit&& visit) {
  switch (type) {
    case DType::F64:
      visit(DTypeConstant<DType::F64>{});
      return true;
    case DType::F32:
      visit(DTypeConstant<DType::F32>{});
      return true;
    case DType::F16:
      visit(DTypeConstant<DType::F16>{});
      return true;
    case DType::BF16:
      visit(DTypeConstant<DType::BF16>{});
      return true;
    case DType::F8E4M3:
      visit(DTypeConstant<DType::F8E4M3>{});
      return true;
    default:
      return false;
  }
}

}  // namespace ferry
