#include "model/text/entities.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "model/text/unicode.h"

namespace ferry::model {

namespace {

// " name:hex name!hex+hex ...": '!' if HTML also accepts the name without a semicolon.
constexpr std::string_view kTable =
#include "model/text/entity_table.inc"
    ;

constexpr std::size_t kLongestClosedName = 24;
constexpr std::size_t kLongestName = 32;

// A decoded reference and the characters it occupies after '&'.
struct Reference {
  std::u32string value;
  std::size_t length = 0;
};

bool is_alnum(char32_t c) {
  return (c >= U'0' && c <= U'9') || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}

std::u32string value_at(std::size_t position) {
  std::u32string value;
  const char* at = kTable.data() + position;
  do {
    unsigned code = 0;
    at = std::from_chars(at + 1, kTable.data() + kTable.size(), code, 16).ptr;
    value.push_back(code);
  } while (*at == '+');
  return value;
}

// `mark` is ':' for any entity, '!' for those that need no semicolon.
std::optional<std::u32string> named(std::u32string_view name, char mark) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_alnum)) return std::nullopt;
  std::string entry(1, ' ');
  entry.append(name.begin(), name.end());
  std::size_t found = kTable.find(entry + '!');
  if (found == std::string_view::npos && mark == ':') found = kTable.find(entry + ':');
  if (found == std::string_view::npos) return std::nullopt;
  return value_at(found + entry.size());
}

// The longest prefix of `name` that needs no semicolon.
std::optional<Reference> legacy_beginning(std::u32string_view name) {
  for (std::size_t length = name.size(); length > 1; --length) {
    if (auto value = named(name.substr(0, length), '!')) return Reference{*value, length};
  }
  return std::nullopt;
}

// "NTILDE" is decoded as a capitalised "ntilde", unless HTML itself decodes a prefix of it.
std::optional<std::u32string> capitalised(std::u32string_view name) {
  const auto is_lower = [](char32_t c) { return c >= U'a' && c <= U'z'; };
  if (std::any_of(name.begin(), name.end(), is_lower) || legacy_beginning(name)) return std::nullopt;
  std::u32string small(name);
  for (char32_t& c : small) c += c >= U'A' && c <= U'Z' ? U'a' - U'A' : 0;
  const auto value = named(small, ':');
  if (!value) return std::nullopt;
  std::u32string out;
  for (const char32_t c : *value) out += upper(c);
  return out;
}

std::u32string character(std::uint32_t code) {
  if (code == 0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return U"\ufffd";
  if (code >= 0x80 && code <= 0x9f) return {from_windows_1252(code)};
  const bool control = code < 0x20 && code != 0x09 && code != 0x0a && code != 0x0c && code != 0x0d;
  const bool no_character = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
  if (control || code == 0x7f || no_character) return {};
  return {code};
}

int digit_of(char32_t c) {
  if (c >= U'0' && c <= U'9') return static_cast<int>(c - U'0');
  if (c >= U'a' && c <= U'f') return static_cast<int>(c - U'a') + 10;
  if (c >= U'A' && c <= U'F') return static_cast<int>(c - U'A') + 10;
  return 16;
}

// "#233;" or "#xe9" at the start of `text`; the length includes a semicolon.
std::optional<Reference> numeric(std::u32string_view text) {
  if (text.empty() || text[0] != U'#') return std::nullopt;
  const bool hex = text.size() > 1 && (text[1] == U'x' || text[1] == U'X');
  const int base = hex ? 16 : 10;
  const std::size_t first = hex ? 2 : 1;
  std::size_t end = first;
  std::uint32_t code = 0;
  for (; end < text.size() && digit_of(text[end]) < base; ++end) {
    code = std::min<std::uint32_t>(code * base + digit_of(text[end]), 0x110000);
  }
  if (end == first) return std::nullopt;
  if (end < text.size() && text[end] == U';') ++end;
  return Reference{character(code), end};
}

std::optional<Reference> closed_reference(std::u32string_view text) {
  const bool number = !text.empty() && text[0] == U'#';
  const std::u32string_view name = text.substr(number ? 1 : 0);
  const std::size_t length =
      static_cast<std::size_t>(std::find_if_not(name.begin(), name.end(), is_alnum) - name.begin());
  if (length == 0 || length > kLongestClosedName || length == name.size() || name[length] != U';') {
    return std::nullopt;
  }
  if (number) {
    auto found = numeric(text);
    const bool whole = found && found->length == length + 2;
    return whole && found->value != U";" ? found : std::nullopt;
  }
  auto value = named(name.substr(0, length), ':');
  if (!value) value = capitalised(name.substr(0, length));
  return value ? std::optional(Reference{*value, length + 1}) : std::nullopt;
}

std::optional<Reference> html_reference(std::u32string_view text) {
  if (!text.empty() && text[0] == U'#') return numeric(text);
  const std::u32string_view stops = U"\t\n\f <&#;";
  const std::size_t end = std::min({text.find_first_of(stops), text.size(), kLongestName});
  const std::u32string_view name = text.substr(0, end);
  if (end < text.size() && text[end] == U';') {
    if (auto value = named(name, ':')) return Reference{*value, end + 1};
  }
  return legacy_beginning(name);
}

template <class Read>
std::u32string unescape(const std::u32string& text, Read read) {
  std::u32string out;
  const std::u32string_view all = text;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto found = all[i] == U'&' ? read(all.substr(i + 1)) : std::nullopt;
    if (found) {
      out += found->value;
      i += found->length;
    } else {
      out.push_back(all[i]);
    }
  }
  return out;
}

}  // namespace

std::u32string unescape_closed(const std::u32string& text) { return unescape(text, closed_reference); }

std::u32string unescape_html(const std::u32string& text) { return unescape(text, html_reference); }

}  // namespace ferry::model
