// Signals that end a run, and their names.
#pragma once

#include <csignal>
#include <string>

namespace ferry::launcher {

// SIGINT, SIGTERM, SIGQUIT, and those of SIGHUP, SIGUSR1 and SIGUSR2 that this process does not ignore
// (nohup).
sigset_t ending_signals();

// Deliveries of one signal within this time count as one.
constexpr double kOneDelivery_s = 1;

// "SIGTERM".
std::string signal_name(int signal);

// Last line of a run that `signal` stopped before its first step.
std::string stopped_early(int signal);

// Exit code of a run for `wait_status` (from waitpid): its code, or 128 + its signal's number.
int exit_code_of(int wait_status);

// Writes one line to stderr, "ferry: <text>"; gives up after a tenth of a second, since the log may have no
// reader.
void say_last(const std::string& text);

}  // namespace ferry::launcher
