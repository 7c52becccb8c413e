// Prompt cleaning, as Wan2.1 does it before tokenising (wan21.md section 4.7, steps 1 to 3).
#pragma once

#include <string>

namespace ferry::model {

// The text that is tokenised.  In this order:
//
//   repair     line by line until nothing changes: HTML entities that end in ';' (not from the first line
//              with '<' on), C1 controls as Windows-1252, Latin ligatures, full- and half-width forms, curly
//              quotes, line breaks to '\n', terminal escapes, control characters, NFC
//   unescape   HTML character references by the rules of HTML 5, twice
//   collapse   every run of Unicode white space to one space, none at the ends
//
// This is ftfy.fix_text and html.unescape of the reference, without ftfy's guessing at text that was decoded
// with the wrong encoding.  Case and punctuation are kept.
// `prompt` is UTF-8; bytes that are not become U+FFFD.  The result is valid UTF-8.
std::string clean_prompt(const std::string& prompt);

// True when nothing of the prompt can be seen (is_invisible), or nothing is left once it is cleaned: white
// space of any script, controls, "&nbsp;".
bool is_blank_prompt(const std::string& prompt);

}  // namespace ferry::model
