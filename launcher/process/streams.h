// The three standard streams, made safe.
#pragma once

#include <string>

namespace ferry::launcher {

// Opens /dev/null in place of a standard stream that is closed (else the next file opened would take its
// number, and log lines would go into it), and ignores SIGPIPE: a log whose reader has gone does not end a
// run.  Called first in main.
void guard_streams();

// Writes `text` to stdout at once.  A reader that has gone wants no more, and gets none.
// Throws SystemError for any other failure: a full disk.
void say(const std::string& text);

}  // namespace ferry::launcher
