#include "checkpoint/make/random_fill.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kBlock = 2048;  // elements; fits into the L1 cache
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111eb;
  return x ^ (x >> 31U);
}

// Four bytes have mean 510 and variance 4 (256^2 - 1) / 12.
constexpr float kMeanOfSum = 510.0F;
constexpr float kDeviationOfSum = 147.80167F;

// One hash yields two elements: the bytes of each half are added in parallel 16-bit lanes.
void fill_block(float* dst, const RandomValues& values, std::uint64_t first_pair, std::size_t pairs) {
  constexpr std::uint64_t kEvenBytes = 0x00ff00ff00ff00ff;
  const float scale = values.deviation / kDeviationOfSum;
  const float offset = values.mean - kMeanOfSum * scale;
  for (std::size_t i = 0; i < pairs; ++i) {
    const std::uint64_t bits = mix(values.stream + (first_pair + i) * kGolden);
    const std::uint64_t sums = (bits & kEvenBytes) + ((bits >> 8U) & kEvenBytes);
    const std::uint64_t both = sums + (sums >> 16U);
    dst[2 * i] = offset + scale * static_cast<float>(static_cast<std::int32_t>(both & 0xffffU));
    dst[2 * i + 1] = offset + scale * static_cast<float>(static_cast<std::int32_t>((both >> 32U) & 0xffffU));
  }
}

}  // namespace

std::uint64_t stream_of(std::uint64_t seed, std::string_view key) {
  std::uint64_t hash = mix(seed + kGolden);
  for (const char c : key) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

void fill_random(std::byte* dst, DType dtype, const RandomValues& values, std::uint64_t begin,
                 std::size_t count) {
  assert(begin % 2 == 0);
  std::array<float, kBlock> block;
  while (count > 0) {
    const std::size_t now = std::min(count, kBlock);
    fill_block(block.data(), values, begin / 2, (now + 1) / 2);
    convert(dst, dtype, block.data(), DType::F32, now);
    dst += now * size_of(dtype);
    begin += now;
    count -= now;
  }
}

}  // namespace ferry::checkpoint
