// Parses the text of a .cfg file.
//
//   # a comment          '#' and ';' begin one at the start of a line and after white space
//   [group]
//   key = value          white space around both is dropped; a value may be empty
//   key = " value "      quoted by ' or ": kept as it is between them, comment signs included
//
// A value is quoted if it starts with a quote whose next occurrence is the last character before a comment or
// the end of the line; any other quote or apostrophe is text.  There are no escapes.  Lines end in LF, CRLF
// or CR. The text is UTF-8 and may start with a byte order mark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::launcher {

struct ConfigEntry {
  std::size_t line = 0;  // from 1
  std::string group;     // "job"; empty before the first group
  std::string key;       // "prompt"; empty for a group line
  std::string value;
};

// Groups and keys in order.
// Throws UserError "line 3: ..." for an invalid line or a NUL byte; also for UTF-16 or UTF-32 text.
std::vector<ConfigEntry> parse_config_text(std::string_view text);

}  // namespace ferry::launcher
