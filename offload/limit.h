// vram_limit, in bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "offload/options.h"

namespace ferry::offload {

inline constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

// Bytes of options.vram_limit (GiB), or nothing.
std::optional<std::size_t> limit_bytes(const Options& options);

// The least device memory that a strategy works with, and what it is made of.
struct Need {
  std::size_t bytes = 0;
  std::string made_of;
};

// Throws UserError unless vram_limit is unset or at least `need`; says how much is needed.
void check_limit(const std::string& stage, const Options& options, const Need& need);

}  // namespace ferry::offload
