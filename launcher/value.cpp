#include "launcher/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace ferry::launcher {
namespace {

// The whole of `text` as a T, without leading space, plus sign or trailing characters.
template <typename T>
bool parse_all(const std::string& text, T* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

std::int64_t to_integer(const std::string& flag, const std::string& text, std::int64_t least,
                        std::int64_t most) {
  std::int64_t value = 0;
  if (!parse_all(text, &value)) {
    throw UserError(fmt::format("{}: '{}' is not a whole number", flag, text));
  }
  if (value < least || value > most) {
    const std::string accepted = most == INT64_MAX || most == INT32_MAX
                                     ? fmt::format("at least {}", least)
                                     : fmt::format("from {} to {}", least, most);
    throw UserError(fmt::format("{}: {} is out of range; accepted: {}", flag, text, accepted));
  }
  return value;
}

double to_number(const std::string& flag, const std::string& text, double least, double most) {
  double value = 0;
  if (!parse_all(text, &value) || !std::isfinite(value)) {
    throw UserError(fmt::format("{}: '{}' is not a number", flag, text));
  }
  if (value < least || value > most) {
    throw UserError(fmt::format("{}: {} is out of range; accepted: from {} to {}", flag, text, least, most));
  }
  return value;
}

bool to_bool(const std::string& flag, const std::string& text) {
  for (const char* word : {"true", "on", "yes", "1"}) {
    if (text == word) return true;
  }
  for (const char* word : {"false", "off", "no", "0"}) {
    if (text == word) return false;
  }
  throw UserError(fmt::format("{}: '{}' is neither true nor false", flag, text));
}

std::pair<std::int64_t, std::int64_t> to_size(const std::string& flag, const std::string& text) {
  const std::size_t cross = text.find_first_of("x*");
  std::int64_t width = 0;
  std::int64_t height = 0;
  if (cross == std::string::npos || !parse_all(text.substr(0, cross), &width) ||
      !parse_all(text.substr(cross + 1), &height)) {
    throw UserError(fmt::format("{}: '{}' is not WIDTHxHEIGHT, as in 832x480", flag, text));
  }
  return {width, height};
}

std::size_t to_choice(const std::string& flag, const std::string& text,
                      const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    throw UserError(fmt::format("{}: '{}' is not known; accepted: {}", flag, text, fmt::join(words, ", ")));
  }
  return static_cast<std::size_t>(found - words.begin());
}

}  // namespace ferry::launcher
