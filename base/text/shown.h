// User text inside a one-line message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry {

// Escapes control characters as \x0a; text longer than `most` bytes is truncated between characters and ends
// in "...".
std::string shown(std::string_view text, std::size_t most = 80);

// Quotes `text` as one word of a shell command line; unchanged if it needs no quotes.
std::string shell_word(std::string_view text);

}  // namespace ferry
