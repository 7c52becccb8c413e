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

// What a message of another process begins with, "rank 1 on node2: "; empty where speaks().
std::string rank_prefix();

// Where a rank that does not speak was refused before MPI connects it with the others: waits a second.  If
// the first rank is refused as well, it says so, and mpirun ends this one meanwhile.
void let_first_rank_speak();

}  // namespace ferry::launcher
