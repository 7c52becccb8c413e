// ASCII to lower case.  Other bytes, so those of UTF-8 sequences, are unchanged.
#pragma once

#include <string>
#include <string_view>

namespace ferry {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

}  // namespace ferry
