// Text to values.  Each throws UserError "<flag>: '<text>' is not ...; accepted: ...".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ferry::launcher {

// A whole number from `least` to `most`.
std::int64_t to_integer(const std::string& flag, const std::string& text, std::int64_t least,
                        std::int64_t most);

// A finite number from `least` to `most`.
double to_number(const std::string& flag, const std::string& text, double least, double most);

// true, false, on, off, yes, no, 1, 0, in capitals too.
bool to_bool(const std::string& flag, const std::string& text);

// "832x480" -> {832, 480}: width first.  Between them x, X, * or the sign U+00D7, with spaces or without.
std::pair<std::int64_t, std::int64_t> to_size(const std::string& flag, const std::string& text);

// One of `words`; returns its index.  Otherwise the message names all, and the one that was meant: in other
// letters, as other programs call it, or the nearest.
std::size_t to_choice(const std::string& flag, const std::string& text,
                      const std::vector<std::string>& words);

}  // namespace ferry::launcher
