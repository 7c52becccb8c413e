#pragma once

#include <cstddef>

namespace ferry::parallel {

// Pointer `offset` bytes into a buffer.
inline std::byte* at(void* data, std::size_t offset) { return static_cast<std::byte*>(data) + offset; }
inline const std::byte* at(const void* data, std::size_t offset) {
  return static_cast<const std::byte*>(data) + offset;
}

}  // namespace ferry::parallel
