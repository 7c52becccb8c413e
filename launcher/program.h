// Finds the command, reads its options, launches or runs it.
#pragma once

#include <string>
#include <vector>

#include "launcher/command.h"

namespace ferry::launcher {

// Runs the program with main's arguments and returns the exit code.
// Throws UserError for wrong input.  Does not return if it launched ranks.
int run_program(int& argc, char**& argv);

// The command at the start of `words`, and the number of words in its name ("bench forward": 2).
// Throws UserError naming the nearest command.
std::pair<Command*, std::size_t> find_command(std::vector<Command>& commands,
                                              const std::vector<std::string>& words);

// True on the one process of a job that writes to the user: rank 0, or a process that is not a rank.
bool is_reporting_process();

// Prefix of another process's messages, "rank 1 on node2: "; empty where is_reporting_process().
std::string rank_prefix();

// For a rank where is_reporting_process() is false that was refused before MPI connected it: waits a second,
// since the first rank, if refused too, reports it, and mpirun ends this one meanwhile.
void let_first_rank_speak();

}  // namespace ferry::launcher
