// The little of Unicode that cleaning a prompt needs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry::model {

// Code points of UTF-8 text; each byte that starts no valid sequence becomes U+FFFD.
std::u32string from_utf8(std::string_view text);

// Where the first byte stands that starts no valid sequence; npos: the text is UTF-8.
std::size_t first_not_utf8(std::string_view text);

// Throws std::invalid_argument for a surrogate or a number above U+10FFFF.
std::string to_utf8(std::u32string_view text);

// Canonical composition.
std::u32string nfc(std::u32string_view text);

// What a character with a compatibility decomposition stands for ("ﬁ" is "fi"), fully decomposed; else
// itself.
std::u32string compatible(char32_t character);

// Python's str.upper() of one character.
std::u32string upper(char32_t character);

// Python's str.isspace() of one character.
bool is_space(char32_t character);

// True for what leaves no mark by itself: white space, controls, formats and marks of order, variation
// selectors, fillers, U+2800 (the empty Braille pattern).
bool is_invisible(char32_t character);

// A decimal digit of any script.
bool is_digit(char32_t character);

// U+0080 to U+009F as the bytes of Windows-1252, the five unused ones and everything else as they are.
char32_t from_windows_1252(char32_t character);

}  // namespace ferry::model
