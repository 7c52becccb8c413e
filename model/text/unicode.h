// The Unicode functions needed to clean a prompt.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry::model {

// Decodes UTF-8; each byte that starts no valid sequence becomes U+FFFD.
std::u32string from_utf8(std::string_view text);

// Position of the first byte that starts no valid sequence; npos if the text is UTF-8.
std::size_t first_not_utf8(std::string_view text);

// Encodes as UTF-8.
// Throws std::invalid_argument for a surrogate or a number above U+10FFFF.
std::string to_utf8(std::u32string_view text);

// Canonical composition.
std::u32string nfc(std::u32string_view text);

// The full compatibility decomposition of a character ("ﬁ" gives "fi"), or the character itself.
std::u32string compatible(char32_t character);

// Python's str.upper() of one character.
std::u32string upper(char32_t character);

// Python's str.isspace() of one character.
bool is_space(char32_t character);

// True for characters without a visible mark: white space, controls, format and direction marks, variation
// selectors, fillers, U+2800 (the empty Braille pattern).
bool is_invisible(char32_t character);

// True for a decimal digit of any script.
bool is_digit(char32_t character);

// Maps U+0080 to U+009F as bytes of Windows-1252; the five unused ones and everything else are unchanged.
char32_t from_windows_1252(char32_t character);

}  // namespace ferry::model
