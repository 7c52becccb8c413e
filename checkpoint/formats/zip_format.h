// Constants of the zip format, shared by reader and writer.
#pragma once

#include <cstdint>

namespace ferry::checkpoint::zip {

// Record signatures.
inline constexpr std::uint32_t kLocal = 0x04034b50;
inline constexpr std::uint32_t kCentral = 0x02014b50;
inline constexpr std::uint32_t kEnd = 0x06054b50;
inline constexpr std::uint32_t kEnd64 = 0x06064b50;
inline constexpr std::uint32_t kLocator64 = 0x07064b50;

inline constexpr std::uint64_t kLocalBytes = 30;  // size of a local header, without name and extra fields
inline constexpr std::uint16_t kExtra64 = 0x0001;
inline constexpr std::uint32_t kIn64 = 0xffffffff;  // "see the zip64 field"

}  // namespace ferry::checkpoint::zip
