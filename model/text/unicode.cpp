#include "model/text/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace ferry::model {

namespace {

constexpr char32_t kReplacement = 0xfffd;

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

}  // namespace

std::u32string from_utf8(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    utf8proc_int32_t character = 0;
    auto length = utf8proc_iterate(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &character);
    if (length <= 0) {
      character = kReplacement;
      length = 1;
    }
    out.push_back(static_cast<char32_t>(character));
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  return out;
}

std::size_t first_not_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t character = 0;
    const std::string_view rest = text.substr(at);
    const auto length =
        utf8proc_iterate(bytes_of(rest), static_cast<utf8proc_ssize_t>(rest.size()), &character);
    if (length <= 0) return at;
    at += static_cast<std::size_t>(length);
  }
  return std::string_view::npos;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t character : text) {
    const auto code = static_cast<utf8proc_int32_t>(character);
    if (!utf8proc_codepoint_valid(code)) {
      throw std::invalid_argument(fmt::format("to_utf8: U+{:04X} is no character", code));
    }
    std::array<utf8proc_uint8_t, 4> bytes;
    const auto length = utf8proc_encode_char(code, bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return out;
}

std::u32string nfc(std::u32string_view text) {
  const std::string utf8 = to_utf8(text);
  utf8proc_uint8_t* result = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto length =
      utf8proc_map(bytes_of(utf8), static_cast<utf8proc_ssize_t>(utf8.size()), &result, options);
  if (length < 0) throw std::runtime_error(fmt::format("utf8proc: {}", utf8proc_errmsg(length)));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  return from_utf8({reinterpret_cast<const char*>(result), static_cast<std::size_t>(length)});
}

std::u32string compatible(char32_t character) {
  std::array<utf8proc_int32_t, 32> parts;  // Unicode's longest decomposition has 18
  int boundary = 0;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character), parts.data(),
                                             parts.size(), options, &boundary);
  return {parts.begin(), parts.begin() + count};
}

std::u32string upper(char32_t character) {
  if (character == U'\u00df') return U"SS";
  const bool ligature = character == U'\u0149' || (character >= 0xfb00 && character <= 0xfb06);
  std::u32string out;
  for (const char32_t part : ligature ? compatible(character) : std::u32string(1, character)) {
    out.push_back(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(part))));
  }
  return out;
}

bool is_space(char32_t c) {
  if ((c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0) return true;
  return c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

bool is_invisible(char32_t character) {
  const auto code = static_cast<utf8proc_int32_t>(character);
  const auto category = utf8proc_category(code);
  return is_space(character) || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         utf8proc_get_property(code)->ignorable != 0 || character == 0x2800;
}

bool is_digit(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character)) == UTF8PROC_CATEGORY_ND;
}

char32_t from_windows_1252(char32_t character) {
  constexpr std::array<char16_t, 32> kTable = {
      0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
      0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178};
  return character >= 0x80 && character <= 0x9f ? kTable[character - 0x80] : character;
}

}  // namespace ferry::model
