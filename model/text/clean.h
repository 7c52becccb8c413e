// Prompt cleaning, as Wan2.1 does it before tokenising (wan21.md section 4.7, steps 1 to 3).
#pragma once

#include <string>

namespace ferry::model {

// Returns the text to tokenise.  In this order:
//
//   repair     line by line until stable: HTML entities that end in ';' (not from the first line with '<'
//              on), C1 controls as Windows-1252, Latin ligatures, full- and half-width forms, curly quotes,
//              line breaks to '\n', terminal escapes, control characters, NFC
//   unescape   HTML character references by the rules of HTML 5, twice
//   collapse   each run of Unicode white space to one space, none at the ends
//
// Equivalent to the reference's ftfy.fix_text and html.unescape, without ftfy's guessing at wrongly decoded
// text.  Case and punctuation are kept.
// `prompt` is UTF-8; invalid bytes become U+FFFD. The result is valid UTF-8.
std::string clean_prompt(const std::string& prompt);

// True if nothing in the prompt is visible (is_invisible), before or after cleaning: white space of any
// script, controls, "&nbsp;".
bool is_blank_prompt(const std::string& prompt);

}  // namespace ferry::model
