// A sub-command: its options and its action.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launcher/options/options.h"

namespace ferry::launcher {

struct Command {
  std::string name;     // "generate", "bench forward"
  std::string summary;  // one line
  std::string usage;    // text after the name, "[options]"
  std::vector<FlagGroup> groups;
  bool takes_ranks = false;    // runs on MPI ranks, so -n is allowed
  int default_ranks = 0;       // ranks without -n if this process is not a rank; 0: none
  bool takes_config = false;   // --config is allowed
  bool can_stop = false;       // SIGTERM and SIGUSR1 ask its ranks to save and stop
  std::string more_help = {};  // printed after the options
  // Checks everything that needs no ranks; throws UserError.  Called before run(), and before ranks are
  // launched, with the number of ranks if known (else 0).
  std::function<void(const CommandLine& line, int ranks)> check = {};
  // True if rank 0 reads standard input; asked after check().  Empty: never.
  std::function<bool()> gives_input = {};
  // Runs the command and returns the exit code.  `argc` and `argv` are main's, for MPI.
  std::function<int(int& argc, char**& argv)> run = {};
};

// Each can be run once.  A command owns the options that its flags write to.
Command make_generate();
Command make_demo();
Command make_inspect();
Command make_make_model();
Command make_plan();
Command make_bench_forward();
Command make_bench_decode();
Command make_bench_offload();
Command make_bench_sweep();
Command make_bench_plot();
Command make_bench_calibrate();

// All commands, in help order.
std::vector<Command> all_commands();

// "ferry generate --help".
std::string help_text(const Command& command);

// "ferry --help".
std::string overview(const std::vector<Command>& commands);

}  // namespace ferry::launcher
