#include "launcher/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/text/nearest.h"
#include "launcher/process/job.h"
#include "launcher/process/spawn.h"
#include "launcher/process/streams.h"
#include "launcher/ranks.h"
#include "parallel/mpi/environment.h"
#include "worker/record/version.h"

namespace ferry::launcher {
namespace {

std::string rank_name() {
  const auto rank = parallel::environment_variable("OMPI_COMM_WORLD_RANK");
  return (rank ? rank : parallel::environment_variable("PMIX_RANK")).value_or("");
}

void print(const std::string& text) {
  if (is_reporting_process()) say(text);
}

std::string version_text() {
  std::string text;
  for (const auto& [name, version] : worker::versions()) text += fmt::format("{:<10}{}\n", name, version);
  return text;
}

[[noreturn]] void throw_unknown_command(const std::string& word, const std::vector<Command>& commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  const std::string near = nearest(word, names);
  throw UserError(fmt::format("{}: unknown command{}", word,
                              near.empty() ? "; see ferry --help" : fmt::format("; did you mean {}?", near)));
}

// Number of ranks that the command line asks to launch; 0: none.
int ranks_to_launch(const Command& command, const CommandLine& line) {
  if (!command.takes_ranks) {
    if (line.ranks > 0) throw UserError(fmt::format("-n: ferry {} does not run on ranks", command.name));
    return 0;
  }
  if (parallel::is_rank()) {
    // The ranks of `ferry -n N` receive its arguments unchanged.
    if (line.ranks > 0 && !launched_by_ferry())
      throw UserError("-n: this process is a rank already; mpirun or srun sets their number");
    return 0;
  }
  if (line.ranks > 0) return line.ranks;
  refuse_unknown_to_mpi();
  return command.default_ranks;
}

int run_command(Command& command, const std::vector<std::string>& words, std::size_t name_words, int& argc,
                char**& argv) {
  const CommandLine line = parse_command_line(
      command.groups, {words.begin() + static_cast<std::ptrdiff_t>(name_words), words.end()});
  if (line.help) {
    print(help_text(command));
    return 0;
  }
  if (!line.config_files.empty() && !command.takes_config) {
    throw UserError(fmt::format("--config: ferry {} takes no .cfg file", command.name));
  }
  const int launched = ranks_to_launch(command, line);
  command.check(line, launched);
  if (launched > 0) {
    launch_ranks(words, launched, command.can_stop, command.gives_input && command.gives_input());
  }
  return command.run(argc, argv);
}

}  // namespace

bool is_reporting_process() {
  if (!parallel::is_rank()) return true;
  return rank_name() == "0";
}

std::string rank_prefix() {
  if (is_reporting_process()) return "";
  std::array<char, HOST_NAME_MAX + 1> host = {};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("rank {} on {}: ", rank_name(), host.data());
}

void let_first_rank_speak() {
  if (!is_reporting_process()) std::this_thread::sleep_for(std::chrono::seconds(1));
}

std::pair<Command*, std::size_t> find_command(std::vector<Command>& commands,
                                              const std::vector<std::string>& words) {
  std::string name;
  for (std::size_t count = 1; count <= std::min<std::size_t>(2, words.size()); ++count) {
    name += (count == 1 ? "" : " ") + words[count - 1];
    for (Command& command : commands) {
      if (command.name == name) return {&command, count};
    }
  }
  if (words.front() == "bench") {
    throw UserError(
        "bench: what to measure is missing or unknown; accepted: bench forward, bench decode, bench offload, "
        "bench sweep, bench plot, bench calibrate");
  }
  throw_unknown_command(words.front(), commands);
}

int run_program(int& argc, char**& argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::vector<Command> commands = all_commands();
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print(overview(commands));
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version") {
    print(version_text());
    return 0;
  }
  const auto [command, name_words] = find_command(commands, words);
  return run_command(*command, words, name_words, argc, argv);
}

}  // namespace ferry::launcher
