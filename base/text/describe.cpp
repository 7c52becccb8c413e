#include "base/text/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace ferry {

namespace {

constexpr std::size_t kLongestName = 120;
constexpr std::int64_t kMostElements = std::int64_t{1} << 60;

struct Sequence {
  unsigned lead_mask;
  unsigned lead;
  int continuation;        // bytes after the lead byte
  std::uint32_t smallest;  // code point that needs this length
};
constexpr std::array<Sequence, 4> kSequences = {
    {{0x80, 0x00, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}}};

// Length in bytes of the code point at the front of `text`, or 0 if malformed.
std::size_t code_point_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  for (const Sequence& form : kSequences) {
    if ((lead & form.lead_mask) != form.lead) continue;
    if (text.size() <= static_cast<std::size_t>(form.continuation)) return 0;
    std::uint32_t point = lead & ~form.lead_mask;
    for (int i = 1; i <= form.continuation; ++i) {
      const auto next = static_cast<unsigned char>(text[static_cast<std::size_t>(i)]);
      if ((next & 0xc0U) != 0x80U) return 0;
      point = (point << 6U) | (next & 0x3fU);
    }
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    const bool valid = point >= form.smallest && point <= 0x10ffff && !surrogate;
    return valid ? static_cast<std::size_t>(form.continuation) + 1 : 0;
  }
  return 0;
}

}  // namespace

std::string printable(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, kLongestName)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte < 127) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return name.size() > kLongestName ? text + "..." : text;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::optional<std::int64_t> checked_numel(std::span<const std::int64_t> shape) {
  std::int64_t product = 1;  // of the nonzero extents, so that strides fit too
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return {};
    empty = empty || extent == 0;
    const std::int64_t factor = std::max<std::int64_t>(extent, 1);
    if (__builtin_mul_overflow(product, factor, &product) || product > kMostElements) return {};
  }
  return empty ? 0 : product;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t bytes = code_point_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace ferry
