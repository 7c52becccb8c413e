// Parses values.  Each throws UserError "<flag>: '<text>' is not ...; accepted: ...".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/words.h"

namespace ferry::launcher {

// An integer from `least` to `most`.
std::int64_t to_integer(const std::string& flag, const std::string& text, std::int64_t least,
                        std::int64_t most);

// A finite number from `least` to `most`.
double to_number(const std::string& flag, const std::string& text, double least, double most);

// A path: not empty, not longer than any can be; '~' is expanded to the home folder.
std::string to_path(const std::string& flag, const std::string& value);

// true, false, on, off, yes, no, 1, 0, case-insensitive.
bool to_bool(const std::string& flag, const std::string& text);

// "832x480" -> {832, 480}: width first.  The separator is x, X, * or U+00D7, with or without spaces.
std::pair<std::int64_t, std::int64_t> to_size(const std::string& flag, const std::string& text);

// Returns the index of `text` in `words`.  The error message names all, and suggests one: by spelling, by
// another program's name, or the nearest.
std::size_t to_choice(const std::string& flag, const std::string& text,
                      const std::vector<std::string>& words);

template <Worded Enum>
std::vector<std::string> words_list() {
  const auto words = words_of(Enum{});
  return {words.begin(), words.end()};
}

// "full, sharded, auto", for help.
template <Worded Enum>
std::string words_text() {
  std::string text;
  for (const std::string& word : words_list<Enum>()) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// The enumerator named `text`.
template <Worded Enum>
Enum to_enum(const std::string& flag, const std::string& text) {
  return static_cast<Enum>(to_choice(flag, text, words_list<Enum>()));
}

}  // namespace ferry::launcher
