#include "launcher/options/config_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text/shown.h"

namespace ferry::launcher {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kSpaces = " \t\v\f";

bool is_space(char c) { return kSpaces.find(c) != std::string_view::npos; }

bool begins_comment(char c) { return c == '#' || c == ';'; }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(kSpaces), text.size());
  const std::size_t end = text.find_last_not_of(kSpaces) + 1;
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

// The text before the first comment sign at the start or after white space.
std::string_view without_comment(std::string_view text, bool at_line_start) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool may_begin = i == 0 ? at_line_start : is_space(text[i - 1]);
    if (may_begin && begins_comment(text[i])) return text.substr(0, i);
  }
  return text;
}

// `text` follows the '='.
std::string value_of(std::string_view text) {
  const std::string_view begun = text.substr(std::min(text.find_first_not_of(kSpaces), text.size()));
  if (begun.starts_with('"') || begun.starts_with('\'')) {
    const std::size_t end = begun.find(begun.front(), 1);
    const bool last =
        end != std::string_view::npos && trimmed(without_comment(begun.substr(end + 1), false)).empty();
    if (last) return std::string(begun.substr(1, end - 1));
  }
  return std::string(trimmed(without_comment(text, false)));
}

[[noreturn]] void refuse(std::size_t line, std::string_view text, std::string_view what) {
  throw UserError(fmt::format("line {}: '{}' {}", line, shown(text), what));
}

std::string group_of(std::size_t line, std::string_view text) {
  if (!text.ends_with(']')) refuse(line, text, "begins a group and does not end in ]");
  const std::string_view name = trimmed(text.substr(1, text.size() - 2));
  if (name.empty()) refuse(line, text, "names no group");
  return std::string(name);
}

void refuse_what_is_no_text(std::string_view text) {
  for (const std::string_view mark : {"\xff\xfe", "\xfe\xff"}) {
    if (text.starts_with(mark)) throw UserError("UTF-16 or UTF-32 text; accepted: UTF-8");
  }
  const std::size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n');
  throw UserError(
      fmt::format("line {}: a NUL byte; a binary file or UTF-16 text, accepted: UTF-8 text", line));
}

class Reader {
 public:
  void line(std::string_view whole) {
    ++number_;
    const std::string_view text = trimmed(without_comment(whole, true));
    if (text.empty()) return;
    if (whole.starts_with(kByteOrderMark)) refuse(number_, text, "begins with a byte order mark");
    if (text.starts_with('[')) {
      group_ = group_of(number_, text);
      entries_.push_back({number_, group_, "", ""});
      return;
    }
    const std::size_t equals = text.find('=');
    const std::string_view key = trimmed(text.substr(0, equals));
    if (equals == std::string_view::npos || key.empty())
      refuse(number_, text, "is neither [group] nor key = value");
    entries_.push_back({number_, group_, std::string(key), value_of(whole.substr(whole.find('=') + 1))});
  }
  std::vector<ConfigEntry> entries() && { return std::move(entries_); }

 private:
  std::size_t number_ = 0;
  std::string group_;
  std::vector<ConfigEntry> entries_;
};

}  // namespace

std::vector<ConfigEntry> parse_config_text(std::string_view text) {
  refuse_what_is_no_text(text);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Reader reader;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    reader.line(text.substr(0, end));
    text.remove_prefix(std::min(end + (text.substr(end).starts_with("\r\n") ? 2 : 1), text.size()));
  }
  return std::move(reader).entries();
}

}  // namespace ferry::launcher
