// Names and shapes for messages, and overflow-checked products of untrusted extents.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ferry {

// Formats a name from a file on one line: control characters and bytes above 126 escaped, truncated to 120
// characters.
std::string printable(std::string_view name);

// "[1536, 16, 1, 2, 2]"
std::string shape_text(std::span<const std::int64_t> shape);

// The product of the extents, or nothing if one is negative or the product exceeds 2^60.
std::optional<std::int64_t> checked_numel(std::span<const std::int64_t> shape);

// True if the bytes are valid UTF-8 (shortest forms only, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace ferry
