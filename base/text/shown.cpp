#include "base/text/shown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace ferry {
namespace {

bool continues_a_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool needs_quotes(char c) {
  constexpr std::string_view kPlain = "_-./:=,@%+";
  return static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) == 0 &&
         kPlain.find(c) == std::string_view::npos;
}

std::string escaped(char c) { return fmt::format("\\x{:02x}", static_cast<unsigned char>(c)); }

}  // namespace

std::string shown(std::string_view text, std::size_t most) {
  const bool cut = text.size() > most;
  if (cut) {
    std::size_t end = most;
    while (end > 0 && continues_a_character(text[end])) --end;
    text = text.substr(0, end);
  }
  std::string out;
  for (const char c : text) out += is_control(c) ? escaped(c) : std::string(1, c);
  return cut ? out + "..." : out;
}

std::string shell_word(std::string_view text) {
  if (!text.empty() && std::none_of(text.begin(), text.end(), needs_quotes)) return std::string(text);
  const bool controls = std::any_of(text.begin(), text.end(), is_control);
  std::string out = controls ? "$'" : "'";
  for (const char c : text) {
    if (controls && (is_control(c) || c == '\'' || c == '\\')) {
      out += escaped(c);
    } else if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace ferry
