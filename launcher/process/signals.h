// The signals that end a run, and their names.
#pragma once

#include <csignal>
#include <string>

namespace ferry::launcher {

// SIGINT, SIGTERM, SIGQUIT, and of SIGHUP, SIGUSR1 and SIGUSR2 those that this process does not ignore
// (nohup).
sigset_t ending_signals();

// "SIGTERM".
std::string signal_name(int signal);

// What a run that ended in `wait_status` (waitpid's) exits with: its code, or 128 + its signal's number.
int exit_code_of(int wait_status);

// One line on stderr, "ferry: <text>", unless nobody takes it within a tenth of a second: it may be the last
// of a process whose log has no reader.
void say_last(const std::string& text);

}  // namespace ferry::launcher
