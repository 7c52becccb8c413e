// A sub-command: its options, and what it does with them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launcher/options/options.h"

namespace ferry::launcher {

struct Command {
  std::string name;     // "generate", "bench forward"
  std::string summary;  // one line
  std::string usage;    // what follows the name, "[options]"
  std::vector<FlagGroup> groups;
  bool takes_ranks = false;    // runs on MPI ranks, so -n is allowed
  int default_ranks = 0;       // that -n stands for when it is not given and this process is no rank; 0: none
  bool takes_config = false;   // --config is allowed
  std::string more_help = {};  // printed after the options
  // Checks what can be checked without ranks; throws UserError.  Called before run(), and before ranks are
  // launched, with the number of ranks when it is known (else 0).
  std::function<void(const CommandLine& line, int ranks)> check = {};
  // Does it and returns the exit code.  `argc` and `argv` are main's, for MPI.
  std::function<int(int& argc, char**& argv)> run = {};
};

// One of each, ready to run once.  A command owns the options its flags write to.
Command make_generate();
Command make_demo();
Command make_inspect();
Command make_make_model();
Command make_bench_forward();
Command make_bench_decode();
Command make_bench_offload();

// All of them, in the order of help.
std::vector<Command> all_commands();

// "ferry generate --help".
std::string help_text(const Command& command);

// "ferry --help".
std::string overview(const std::vector<Command>& commands);

}  // namespace ferry::launcher
