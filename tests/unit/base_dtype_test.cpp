// base/dtype.h, over every pattern of the small types.
#include "base/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

namespace ferry {
namespace {

// How a type is made of sign, exponent and fraction; what convert() must give is worked out from this with
// double arithmetic alone.
struct Format {
  DType type;
  int exponent_bits;
  int fraction_bits;
  int bias;
  bool infinity;
};
constexpr Format kBf16 = {DType::BF16, 8, 7, 127, true};
constexpr Format kFp16 = {DType::F16, 5, 10, 15, true};
constexpr Format kFp8 = {DType::F8E4M3, 4, 3, 7, false};
constexpr Format kFormats[] = {kBf16, kFp16, kFp8};

int bits_of(const Format& format) { return 1 + format.exponent_bits + format.fraction_bits; }
std::uint32_t patterns(const Format& format) { return 1U << bits_of(format); }

double value_of(const Format& format, std::uint32_t pattern) {
  const std::uint32_t fraction = pattern & ((1U << format.fraction_bits) - 1);
  const std::uint32_t top = (1U << format.exponent_bits) - 1;
  const std::uint32_t exponent = (pattern >> format.fraction_bits) & top;
  const double sign = (pattern >> (bits_of(format) - 1)) != 0 ? -1 : 1;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (format.infinity && exponent == top)
    return fraction != 0 ? nan : sign * std::numeric_limits<double>::infinity();
  if (!format.infinity && exponent == top && fraction == (1U << format.fraction_bits) - 1) return nan;
  const double one = exponent == 0 ? 0 : 1;
  const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - format.bias;
  return sign * std::ldexp(one + std::ldexp(fraction, -format.fraction_bits), power);
}

std::uint32_t load(DType type, const void* at) {
  std::uint32_t pattern = 0;
  std::memcpy(&pattern, at, size_of(type));
  return pattern;
}

// Every value of a format as convert() reads it.
template <class Wide>
std::vector<Wide> read_all(const Format& format, DType wide) {
  std::vector<std::uint8_t> all(patterns(format) * size_of(format.type));
  for (std::uint32_t p = 0; p < patterns(format); ++p) {
    std::memcpy(all.data() + p * size_of(format.type), &p, size_of(format.type));
  }
  std::vector<Wide> values(patterns(format));
  convert(values.data(), wide, all.data(), format.type, values.size());
  return values;
}

template <class Wide>
std::uint32_t written(const Format& format, DType wide, Wide value) {
  std::uint32_t bytes = 0;
  convert(&bytes, format.type, &value, wide, 1);
  return load(format.type, &bytes);
}

TEST(DType, EveryPatternOfTheNarrowTypesHasItsValue) {
  for (const Format& format : kFormats) {
    const auto floats = read_all<float>(format, DType::F32);
    const auto doubles = read_all<double>(format, DType::F64);
    for (std::uint32_t p = 0; p < patterns(format); ++p) {
      const double expected = value_of(format, p);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(floats[p]) && std::isnan(doubles[p])) << name_of(format.type) << " " << p;
      } else {
        ASSERT_EQ(floats[p], expected) << name_of(format.type) << " " << p;
        ASSERT_EQ(doubles[p], expected) << name_of(format.type) << " " << p;
        ASSERT_EQ(std::signbit(floats[p]), std::signbit(expected)) << name_of(format.type) << " " << p;
      }
    }
  }
}

TEST(DType, EveryValueOfTheNarrowTypesSurvivesThereAndBack) {
  for (const Format& format : kFormats) {
    for (const float value : read_all<float>(format, DType::F32)) {
      const std::uint32_t back = written(format, DType::F32, value);
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(value_of(format, back))) << name_of(format.type);
      } else if (!std::isinf(value) || format.infinity) {
        ASSERT_EQ(value_of(format, back), value) << name_of(format.type);
        ASSERT_EQ(std::signbit(value_of(format, back)), std::signbit(value)) << name_of(format.type);
      }
    }
  }
}

// Neighbours in a format: below, at and above each midpoint, and the ends.
template <class Wide>
void expect_rounding(const Format& format, DType wide) {
  std::uint32_t largest = patterns(format) / 2 - 1;
  while (!std::isfinite(value_of(format, largest))) --largest;
  for (std::uint32_t p = 0; p < largest; ++p) {
    const auto middle = static_cast<Wide>((value_of(format, p) + value_of(format, p + 1)) / 2);
    const auto below = std::nextafter(middle, Wide{0});
    const auto above = std::nextafter(middle, std::numeric_limits<Wide>::infinity());
    const std::uint32_t even = p % 2 == 0 ? p : p + 1;
    const std::uint32_t sign = patterns(format) / 2;
    ASSERT_EQ(written(format, wide, middle), even) << name_of(format.type) << " " << p;
    ASSERT_EQ(written(format, wide, below), p) << name_of(format.type) << " " << p;
    ASSERT_EQ(written(format, wide, above), p + 1) << name_of(format.type) << " " << p;
    ASSERT_EQ(written(format, wide, -middle), even | sign) << name_of(format.type) << " " << p;
  }
}

TEST(DType, RoundsToNearestEvenAtEveryMidpoint) {
  for (const Format& format : kFormats) {
    // A bf16 subnormal's midpoint has no fp32 neighbour question: fp32 holds both sides of it.
    expect_rounding<float>(format, DType::F32);
  }
}

TEST(DType, RoundsDoublesOnce) {
  // By way of fp32 the sliver beyond the midpoint would be lost and the tie go to even.
  for (const Format& format : kFormats) expect_rounding<double>(format, DType::F64);
}

TEST(DType, TooLargeIsInfinityOrSaturates) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(written(kFp16, DType::F32, 65519.0f), 0x7bffu);
  EXPECT_EQ(written(kFp16, DType::F32, 65520.0f), 0x7c00u);
  EXPECT_EQ(written(kFp16, DType::F32, -1e30f), 0xfc00u);
  EXPECT_EQ(written(kBf16, DType::F32, std::numeric_limits<float>::max()), 0x7f80u);
  EXPECT_EQ(written(kBf16, DType::F64, 1e300), 0x7f80u);
  for (const float large : {448.0f, 463.0f, 464.0f, 465.0f, 479.0f, 480.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(written(kFp8, DType::F32, large), 0x7eu) << large;
    EXPECT_EQ(written(kFp8, DType::F32, -large), 0xfeu) << large;
  }
  EXPECT_EQ(written(kFp8, DType::F64, 1e300), 0x7eu);
}

TEST(DType, NanStaysNanWhateverItsBits) {
  for (const std::uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xffffffffu, 0xff800001u, 0x7f80ffffu}) {
    const auto nan = std::bit_cast<float>(bits);
    for (const Format& format : kFormats) {
      EXPECT_TRUE(std::isnan(value_of(format, written(format, DType::F32, nan)))) << name_of(format.type);
      EXPECT_TRUE(std::isnan(value_of(format, written(format, DType::F64, static_cast<double>(nan)))));
    }
  }
}

TEST(DType, LongRowsOfAnyLengthAndAlignmentEqualSingleElements) {
  std::mt19937 random(7);
  std::vector<std::uint32_t> bits(1037);
  for (auto& b : bits) b = random();
  for (const Format& format : kFormats) {
    for (const std::size_t offset : {0, 1, 3}) {
      std::vector<std::uint8_t> in(bits.size() * 4 + 8), out(bits.size() * size_of(format.type) + 8);
      std::memcpy(in.data() + offset, bits.data(), bits.size() * 4);
      convert(out.data() + offset, format.type, in.data() + offset, DType::F32, bits.size());
      for (std::size_t i = 0; i < bits.size(); ++i) {
        const std::uint32_t one = written(format, DType::F32, std::bit_cast<float>(bits[i]));
        ASSERT_EQ(load(format.type, out.data() + offset + i * size_of(format.type)), one) << i;
      }
    }
  }
}

TEST(DType, NamesAndSizesBelongTogether) {
  constexpr DType kAll[] = {DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::I64,
                            DType::I32, DType::I16, DType::I8,  DType::U8,   DType::Bool};
  constexpr std::size_t kSizes[] = {8, 4, 2, 2, 1, 8, 4, 2, 1, 1, 1};
  for (std::size_t i = 0; i < std::size(kAll); ++i) {
    EXPECT_EQ(dtype_from_name(name_of(kAll[i])), kAll[i]);
    EXPECT_EQ(size_of(kAll[i]), kSizes[i]);
  }
  EXPECT_EQ(dtype_from_name("BF16"), DType::BF16);
  EXPECT_EQ(dtype_from_name("F8_E4M3"), DType::F8E4M3);
  EXPECT_THROW(dtype_from_name("bf17"), std::invalid_argument);
}

TEST(DType, RefusesWhatItCannotConvertAndCopiesEqualTypes) {
  std::int64_t number = 5;
  std::int64_t copy = 0;
  convert(&copy, DType::I64, &number, DType::I64, 1);
  EXPECT_EQ(copy, 5);
  EXPECT_THROW(convert(&copy, DType::F32, &number, DType::I64, 1), std::invalid_argument);
  EXPECT_THROW(convert(&copy, DType::I64, &number, DType::F32, 1), std::invalid_argument);
  convert(nullptr, DType::BF16, nullptr, DType::BF16, 0);
}

}  // namespace
}  // namespace ferry
