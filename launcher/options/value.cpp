#include "launcher/options/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/text/lower.h"
#include "base/text/nearest.h"
#include "base/text/shown.h"
#include "launcher/options/paths.h"
#include "launcher/options/words.h"

namespace ferry::launcher {
namespace {

enum class Read : std::uint8_t { Whole, NoNumber, TooLarge };

// Parses all of `text` as a T, without leading space, plus sign or trailing characters.
template <typename T>
Read parse_all(std::string_view text, T* value) {
  const char* const begin = text.data();  // NOLINT(bugprone-suspicious-stringview-data-usage): with `end`
  const char* const end = begin + text.size();
  const auto result = std::from_chars(begin, end, *value);
  if (result.ptr != end || text.empty()) return Read::NoNumber;
  if (result.ec == std::errc::result_out_of_range) return Read::TooLarge;
  return result.ec == std::errc() ? Read::Whole : Read::NoNumber;
}

[[noreturn]] void refuse_range(const std::string& flag, const std::string& text,
                               const std::string& accepted) {
  throw UserError(fmt::format("{}: {} is out of range; accepted: {}", flag, shown(text), accepted));
}

// Suggests the word meant by `text`, by spelling or by another program's name.
std::string near_word(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (letters_of(word) == letters_of(text)) return word;
  }
  std::string elsewhere(value_elsewhere(text));
  if (std::find(words.begin(), words.end(), elsewhere) != words.end()) return elsewhere;
  return nearest(lower(text), words);
}

// Splits at the separator of width and height; the longest spelling is tried first.
std::optional<std::pair<std::string_view, std::string_view>> at_cross(std::string_view text) {
  for (const std::string_view cross : {"\u00d7", "x", "X", "*"}) {
    const std::size_t at = text.find(cross);
    if (at != std::string_view::npos) return {{text.substr(0, at), text.substr(at + cross.size())}};
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::int64_t to_integer(const std::string& flag, const std::string& text, std::int64_t least,
                        std::int64_t most) {
  std::int64_t value = 0;
  const Read read = parse_all(text, &value);
  if (read == Read::NoNumber)
    throw UserError(fmt::format("{}: '{}' is not a whole number", flag, shown(text)));
  const bool below = read == Read::Whole && value < least;
  if (read == Read::TooLarge || below || value > most) {
    const bool open = below && (most == INT64_MAX || most == INT32_MAX);
    refuse_range(flag, text,
                 open ? fmt::format("at least {}", least) : fmt::format("from {} to {}", least, most));
  }
  return value;
}

double to_number(const std::string& flag, const std::string& text, double least, double most) {
  double value = 0;
  const Read read = parse_all(text, &value);
  if (read == Read::NoNumber || (read == Read::Whole && !std::isfinite(value))) {
    throw UserError(fmt::format("{}: '{}' is not a number", flag, shown(text)));
  }
  if (read == Read::TooLarge || value < least || value > most) {
    refuse_range(flag, text, fmt::format("from {} to {}", least, most));
  }
  return value;
}

std::string to_path(const std::string& flag, const std::string& value) {
  if (value.empty()) throw UserError(flag + ": the value is empty");
  if (value.size() >= PATH_MAX) {
    throw UserError(fmt::format("{}: {} has {} bytes; paths have at most {}", flag, shown(value),
                                value.size(), PATH_MAX - 1));
  }
  return expand_home(value);
}

bool to_bool(const std::string& flag, const std::string& text) {
  const std::string given = lower(text);
  for (const char* word : {"true", "on", "yes", "1"}) {
    if (given == word) return true;
  }
  for (const char* word : {"false", "off", "no", "0"}) {
    if (given == word) return false;
  }
  throw UserError(
      fmt::format("{}: '{}' is neither true nor false (nor on, off, yes, no, 1, 0)", flag, shown(text)));
}

std::pair<std::int64_t, std::int64_t> to_size(const std::string& flag, const std::string& text) {
  std::int64_t width = 0;
  std::int64_t height = 0;
  const auto parts = at_cross(text);
  if (!parts || parse_all(trimmed(parts->first), &width) != Read::Whole ||
      parse_all(trimmed(parts->second), &height) != Read::Whole) {
    throw UserError(fmt::format("{}: '{}' is not WIDTHxHEIGHT, as in 832x480", flag, shown(text)));
  }
  return {width, height};
}

std::size_t to_choice(const std::string& flag, const std::string& text,
                      const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    const std::string near = near_word(text, words);
    throw UserError(fmt::format("{}: '{}' is not known; accepted: {}{}", flag, shown(text),
                                fmt::join(words, ", "),
                                near.empty() ? "" : fmt::format("; did you mean {}?", near)));
  }
  return static_cast<std::size_t>(found - words.begin());
}

}  // namespace ferry::launcher
