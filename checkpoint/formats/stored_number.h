#pragma once

#include <cstddef>
#include <cstring>

namespace ferry::checkpoint {

// Reads a number from a file's bytes, aligned or not.
template <typename Number>
double stored_number(const std::byte* data) {
  Number number;
  std::memcpy(&number, data, sizeof number);
  return static_cast<double>(number);
}

}  // namespace ferry::checkpoint
