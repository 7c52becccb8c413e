// Names and shapes in messages, and products of extents that nobody vouches for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ferry {

// A name from a file on one line: control characters and bytes above 126 escaped, cut after 120 characters.
std::string printable(std::string_view name);

// "[1536, 16, 1, 2, 2]"
std::string shape_text(std::span<const std::int64_t> shape);

// The product of the extents, or nothing when one is negative or the product exceeds 2^60.
std::optional<std::int64_t> checked_numel(std::span<const std::int64_t> shape);

// Whether the bytes are valid UTF-8 (shortest forms only, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace ferry
