// From words to an exit code: finds the command, reads its options, launches or runs it.
#pragma once

#include <string>
#include <vector>

#include "launcher/command.h"

namespace ferry::launcher {

// Runs the program as main's arguments say and returns the exit code.
// Throws UserError for wrong input.  Does not return when it launched ranks.
int run_program(int& argc, char**& argv);

// The command that `words` begin with, and how many words name it ("bench forward": 2).
// Throws UserError naming the nearest command.
std::pair<Command*, std::size_t> find_command(std::vector<Command>& commands,
                                              const std::vector<std::string>& words);

// True on the one process of a job that speaks to the user: rank 0, or a process that is no rank.
bool speaks();

}  // namespace ferry::launcher
