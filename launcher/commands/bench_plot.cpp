#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/command.h"
#include "launcher/commands/generate.h"
#include "launcher/options/paths.h"
#include "launcher/process/signals.h"

namespace ferry::launcher {
namespace {

namespace fs = std::filesystem;

struct PlotOptions {
  std::string rows;
  std::string out;
};

// The tool beside this program: in the tree that it was built from, or where it is installed.
std::optional<fs::path> find_tool() {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  std::error_code error;
  for (fs::path folder = program.parent_path(); folder != folder.root_path(); folder = folder.parent_path()) {
    for (const char* place : {"tools/plot.py", "share/ferry/tools/plot.py"}) {
      if (fs::is_regular_file(folder / place, error)) return folder / place;
    }
  }
  return {};
}

// $FERRY_PYTHON, else the tree's .venv, else the system's.
std::string python_for(const fs::path& tool) {
  const char* given = std::getenv("FERRY_PYTHON");
  if (given != nullptr && *given != '\0') return given;
  const fs::path own = tool.parent_path().parent_path() / ".venv/bin/python";
  std::error_code error;
  return fs::exists(own, error) ? own.string() : "python3";
}

int exit_code_of_child(const std::string& python, const std::vector<std::string>& arguments) {
  std::vector<char*> words;
  std::string first = python;
  words.push_back(first.data());
  std::vector<std::string> rest = arguments;
  for (std::string& word : rest) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw_errno("fork");
  if (child == 0) {
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return launcher::exit_code_of(status);
}

int plot(const PlotOptions& options) {
  const std::optional<fs::path> tool = find_tool();
  if (!tool)
    throw UserError(
        "bench plot: tools/plot.py is not beside this program; run it by hand: tools/plot.py FILE --out DIR");
  const std::string python = python_for(*tool);
  const int code = exit_code_of_child(python, {tool->string(), options.rows, "--out", options.out});
  if (code == 127) {
    throw UserError(
        fmt::format("bench plot: {} cannot be started; FERRY_PYTHON=PYTHON names a Python with matplotlib",
                    shown(python, std::string::npos)));
  }
  return code;
}

}  // namespace

Command make_bench_plot() {
  const auto options = std::make_shared<PlotOptions>();
  const auto path = [options](const std::string& flag, const std::string& value) {
    if (value.empty()) throw UserError(flag + ": the value is empty");
    options->out = expand_home(value);
  };
  Command command{
      "bench plot",
      "draws the rows of a sweep as PNG and SVG",
      "FILE.jsonl --out DIR",
      {{"[plot]", {{"out", "", "DIR", "folder of the pictures; made if it is not there", "", false, path}}}}};
  command.more_help =
      "Runs tools/plot.py with $FERRY_PYTHON, else the Python of .venv, else python3; it needs matplotlib.\n";
  command.check = [options](const CommandLine& line, int) {
    for (const Setting& setting : line.settings) setting.flag->set(setting.written, setting.value);
    if (line.positional.size() != 1)
      throw UserError("bench plot: name one file of rows, as in ferry bench plot sweep.jsonl --out plots");
    options->rows = expand_home(line.positional.front());
    check_input_file("bench plot", options->rows);
    if (options->out.empty()) throw UserError("--out: the folder of the pictures is missing");
    std::error_code error;
    if (fs::exists(options->out, error) && !fs::is_directory(options->out, error))
      throw UserError(fmt::format("--out: {}: is no folder", shown(options->out, std::string::npos)));
  };
  command.run = [options](int&, char**&) { return plot(*options); };
  return command;
}

}  // namespace ferry::launcher
