#include <fmt/format.h>

#include "launcher/command.h"

namespace ferry::launcher {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
  commands.push_back(make_generate());
  commands.push_back(make_demo());
  commands.push_back(make_inspect());
  commands.push_back(make_make_model());
  commands.push_back(make_plan());
  commands.push_back(make_bench_forward());
  commands.push_back(make_bench_decode());
  commands.push_back(make_bench_offload());
  commands.push_back(make_bench_sweep());
  commands.push_back(make_bench_plot());
  commands.push_back(make_bench_calibrate());
  return commands;
}

std::string help_text(const Command& command) {
  std::string text =
      fmt::format("{}\n\nusage: ferry {} {}\n\n", command.summary, command.name, command.usage);
  text += describe(command.groups);
  if (command.takes_ranks) text += "  -n [ --ranks ] N   run on N ranks of this machine, through mpirun\n";
  if (command.takes_config) {
    text +=
        "  --config FILE      read options from a .cfg file; repeatable, a later one wins over an earlier "
        "one,\n"
        "                     and the command line over both\n";
  }
  text += "  -h [ --help ]      this text\n";
  if (!command.more_help.empty()) text += "\n" + command.more_help;
  return text;
}

std::string overview(const std::vector<Command>& commands) {
  std::string text =
      "ferry runs video diffusion transformers on one or many ranks.\n\nusage: ferry COMMAND [options]\n\n";
  for (const Command& command : commands) text += fmt::format("  {:<16}{}\n", command.name, command.summary);
  text +=
      "\n  --version       what this program was built from and runs with\n"
      "  --help          this text; `ferry COMMAND --help` for a command's options\n"
      "\nUnder mpirun or srun each process is a rank; alone, -n N launches mpirun on this machine.\n";
  return text;
}

}  // namespace ferry::launcher
