// Makes the three standard streams safe.
#pragma once

#include <string>

namespace ferry::launcher {

// Opens /dev/null in place of a closed standard stream (otherwise the next file opened would get its number,
// and log lines would go into it), and ignores SIGPIPE: a log whose reader is gone does not end a run.  Call
// first in main.
void guard_streams();

// Writes `text` to stdout at once; ignores a closed pipe.
// Throws SystemError for any other failure, such as a full disk.
void say(const std::string& text);

}  // namespace ferry::launcher
