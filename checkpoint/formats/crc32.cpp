#include "checkpoint/formats/crc32.h"

#include <array>
#include <cstring>

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kSlices = 16;
using Table = std::array<std::array<std::uint32_t, 256>, kSlices>;

// table[k][b]: contribution of byte b, k bytes before the end of a slice, to the register.
constexpr Table make_table() {
  Table table = {};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? 0xedb88320U : 0U);
    table[0][byte] = value;
  }
  for (std::size_t k = 1; k < kSlices; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = table[k - 1][byte];
      table[k][byte] = (before >> 8U) ^ table[0][before & 0xffU];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

// Advances by sixteen bytes with independent lookups.
std::uint32_t advance_slice(std::uint32_t state, const std::byte* bytes) {
  std::array<std::uint8_t, kSlices> block;
  std::memcpy(block.data(), bytes, kSlices);
  for (std::size_t i = 0; i < 4; ++i) block[i] ^= static_cast<std::uint8_t>(state >> (8 * i));
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < kSlices; ++i) next ^= kTable[kSlices - 1 - i][block[i]];
  return next;
}

// A linear map on the register: columns[i] is the image of bit i.
using Map = std::array<std::uint32_t, 32>;

std::uint32_t apply(const Map& map, std::uint32_t state) {
  std::uint32_t image = 0;
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (((state >> i) & 1U) != 0) image ^= map[i];
  }
  return image;
}

}  // namespace

std::uint32_t crc32(std::uint32_t sum, std::span<const std::byte> bytes) {
  std::uint32_t state = ~sum;
  for (; bytes.size() >= kSlices; bytes = bytes.subspan(kSlices)) state = advance_slice(state, bytes.data());
  for (const std::byte byte : bytes) {
    state = (state >> 8U) ^ kTable[0][(state ^ static_cast<std::uint32_t>(byte)) & 0xffU];
  }
  return ~state;
}

std::uint32_t crc32_zeros(std::uint32_t sum, std::uint64_t count) {
  std::uint32_t state = ~sum;
  Map map;  // effect of 2^k zero bytes
  for (std::size_t i = 0; i < map.size(); ++i) {
    const std::uint32_t bit = 1U << i;
    map[i] = (bit >> 8U) ^ kTable[0][bit & 0xffU];
  }
  for (; count > 0; count >>= 1U) {
    if ((count & 1U) != 0) state = apply(map, state);
    Map square;
    for (std::size_t i = 0; i < map.size(); ++i) square[i] = apply(map, map[i]);
    map = square;
  }
  return ~state;
}

}  // namespace ferry::checkpoint
