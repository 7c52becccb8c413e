#include "model/text/clean.h"

#include <algorithm>
#include <string_view>

#include "model/text/entities.h"
#include "model/text/unicode.h"

namespace ferry::model {

namespace {

constexpr std::u32string_view kLigatures =
    U"\u0132\u0133\u0149\u01c4\u01c5\u01c6\u01c7\u01c8\u01c9\u01ca\u01cb\u01cc\u01f1\u01f2\u01f3"
    U"\ufb00\ufb01\ufb02\ufb03\ufb04\ufb06";

bool is_wide_or_narrow(char32_t c) { return c == 0x3000 || (c >= 0xff01 && c <= 0xffef); }

// Normalises ligature, width and quotes of one character.
std::u32string plain(char32_t c) {
  // The compatibility form would also replace the long s.
  if (c == U'\ufb05') return U"\u017ft";
  const bool fold = kLigatures.find(c) != std::u32string_view::npos || is_wide_or_narrow(c);
  std::u32string out = fold ? compatible(c) : std::u32string(1, c);
  for (char32_t& part : out) {
    if (part == 0x2bc || (part >= 0x2018 && part <= 0x201b)) part = U'\'';
    if (part >= 0x201c && part <= 0x201f) part = U'"';
  }
  return out;
}

bool is_control(char32_t c) {
  if (c < 0x20) return c != U'\t' && c != U'\n' && c != U'\f' && c != U'\r';
  return c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

std::u32string plain_characters(const std::u32string& text) {
  std::u32string out;
  for (const char32_t c : text) out += plain(from_windows_1252(c));
  return out;
}

std::u32string line_breaks(const std::u32string& text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == U'\r' && i + 1 < text.size() && text[i + 1] == U'\n') continue;
    out.push_back(c == U'\r' || c == 0x2028 || c == 0x2029 ? U'\n' : c);
  }
  return out;
}

// Length of a terminal escape such as "\x1b[31;1m" at the start of `text`, else 0.
std::size_t terminal_escape(std::u32string_view text) {
  if (text.substr(0, 2) != U"\x1b[") return 0;
  const auto is_parameter = [](char32_t c) { return c == U';' || is_digit(c); };
  const auto end = std::find_if_not(text.begin() + 2, text.end(), is_parameter);
  const bool letter = end != text.end() && ((*end >= U'a' && *end <= U'z') || (*end >= U'A' && *end <= U'Z'));
  return letter ? static_cast<std::size_t>(end - text.begin()) + 1 : 0;
}

std::u32string without_controls(const std::u32string& text) {
  std::u32string out;
  const std::u32string_view all = text;
  for (std::size_t i = 0; i < all.size();) {
    const std::size_t escape = terminal_escape(all.substr(i));
    if (escape == 0 && !is_control(all[i])) out.push_back(all[i]);
    i += std::max<std::size_t>(escape, 1);
  }
  return out;
}

std::u32string repaired_line(std::u32string text, bool entities) {
  for (;;) {
    std::u32string fixed = entities ? unescape_closed(text) : text;
    fixed = nfc(without_controls(line_breaks(plain_characters(fixed))));
    if (fixed == text) return text;
    text = std::move(fixed);
  }
}

// A '<' marks the text as HTML, whose entities must stay.
std::u32string repaired(const std::u32string& text) {
  std::u32string out;
  bool entities = true;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(U'\n', begin), text.size() - 1) + 1;
    const std::u32string line = text.substr(begin, end - begin);
    entities = entities && line.find(U'<') == std::u32string::npos;
    out += repaired_line(line, entities);
    begin = end;
  }
  return out;
}

std::u32string collapsed(const std::u32string& text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (!is_space(c)) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != U' ') {
      out.push_back(U' ');
    }
  }
  if (!out.empty() && out.back() == U' ') out.pop_back();
  return out;
}

}  // namespace

bool is_blank_prompt(const std::string& prompt) {
  const auto is_blank = [](const std::u32string& text) {
    return std::all_of(text.begin(), text.end(), is_invisible);
  };
  // Cleaning turns U+0085, which is white space, into an ellipsis.
  return is_blank(from_utf8(prompt)) || is_blank(from_utf8(clean_prompt(prompt)));
}

std::string clean_prompt(const std::string& prompt) {
  return to_utf8(collapsed(unescape_html(unescape_html(repaired(from_utf8(prompt))))));
}

}  // namespace ferry::model
