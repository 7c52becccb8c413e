// What a .cfg file says, line by line.
//
//   # a comment          '#' and ';' begin one at the start of a line and after white space
//   [group]
//   key = value          white space around both is dropped; a value may be empty
//   key = " value "      quoted by ' or ": kept as it is between them, comment signs included
//
// A value is quoted when it begins with a quote whose next occurrence is the last thing before a comment or
// the end of the line; every other quote or apostrophe is text.  There are no escapes.  Lines end in LF, CRLF
// or CR.  The text is UTF-8 and may begin with a byte order mark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::launcher {

struct ConfigEntry {
  std::size_t line = 0;  // from 1
  std::string group;     // "job"; empty before the first group
  std::string key;       // "prompt"; empty: the line opens the group
  std::string value;
};

// The groups and keys in their order.
// Throws UserError "line 3: ...": a line of another form, a NUL byte; and for UTF-16 or UTF-32 text.
std::vector<ConfigEntry> parse_config_text(std::string_view text);

}  // namespace ferry::launcher
