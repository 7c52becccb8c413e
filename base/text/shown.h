// Text of the user inside a message of one line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry {

// `text` with control characters as \x0a; what is longer than `most` bytes ends in "...", at a character's
// end.
std::string shown(std::string_view text, std::size_t most = 80);

// `text` as one word of a shell's command line: as it is where it needs no quotes.
std::string shell_word(std::string_view text);

}  // namespace ferry
