// CRC-32 of zip archives (ISO 3309, reflected polynomial 0xEDB88320).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ferry::checkpoint {

// Extends the checksum `sum` by `bytes`; start with 0.
std::uint32_t crc32(std::uint32_t sum, std::span<const std::byte> bytes);

// As above for `count` zero bytes, in time O(log count).
std::uint32_t crc32_zeros(std::uint32_t sum, std::uint64_t count);

}  // namespace ferry::checkpoint
