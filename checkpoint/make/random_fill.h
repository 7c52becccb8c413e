// Counter-based seeded random values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace ferry::checkpoint {

// mean + deviation * z, with z roughly normal: the centred sum of four uniform bytes, |z| at most 3.45.
struct RandomValues {
  std::uint64_t stream = 0;  // stream_of()
  float mean = 0.0F;
  float deviation = 1.0F;
};

// The random stream of a tensor: a hash of the seed and its name.
std::uint64_t stream_of(std::uint64_t seed, std::string_view key);

// Writes elements [begin, begin + count) of the stream, computed in fp32 and rounded to `dtype`.  `begin`
// must be even.  Runs on the calling thread.
void fill_random(std::byte* dst, DType dtype, const RandomValues& values, std::uint64_t begin,
                 std::size_t count);

}  // namespace ferry::checkpoint
