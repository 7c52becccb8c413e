#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/check.h"
#include "launcher/commands/demo_words.h"
#include "launcher/commands/generate.h"
#include "launcher/options/keys.h"
#include "launcher/options/settings.h"
#include "launcher/process/streams.h"
#include "launcher/program.h"
#include "worker/output/files.h"

namespace ferry::launcher {
namespace {

namespace fs = std::filesystem;

// Finds the small model: in this build's repository, or where it was installed.
std::optional<std::string> find_demo_model() {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& place : {program / "../../models/demo", program / "../share/ferry/models/demo"}) {
    if (fs::is_directory(place)) return fs::weakly_canonical(place).string();
  }
  return std::nullopt;
}

std::string demo_model() {
  if (const auto found = find_demo_model()) return *found;
  throw UserError("demo: the small model models/demo is not beside this program; --model says where it is");
}

// Defaults of `ferry demo` that differ from generate's.
void set_defaults(worker::Options& options) {
  options.model.device = "cpu";  // takes seconds, and two ranks need no two GPUs
  options.job.prompt = "a red circle moving right on a black background";
  options.job.seed = 1;
  options.job.out_scale = 3;
  // As for a model larger than its device.
  for (offload::Options& each : options.offload) each.type = offload::StrategyKind::Async;
  options.job.overwrite = true;
}

void fill_in(worker::Options& options) {
  if (options.job.out.empty()) {
    std::error_code error;
    fs::create_directories("out", error);
    if (error)
      throw UserError("demo: cannot make the folder out: " + error.message() + "; --out FILE goes elsewhere");
    options.job.out = fmt::format("out/{}.mp4", worker::slug_of(options.job.prompt));
  }
}

// The settings given, plus the small model if none is named.
std::vector<Setting> with_model(const std::vector<FlagGroup>& groups, CommandLine line) {
  std::vector<Setting> given = gather_settings(groups, line);
  for (const Setting& setting : given) {
    if (setting.flag->key == "model.path") return given;
  }
  const CommandLine model = parse_command_line(groups, {"--model", demo_model()});
  line.settings.insert(line.settings.end(), model.settings.begin(), model.settings.end());
  return gather_settings(groups, line);
}

void say_words(const worker::Options& options) {
  const DemoWords words = read_demo_words(options.model.path);
  say(describe(words));
  const auto unknown = unknown_words(words, options.job.prompt);
  if (!unknown.empty()) say(fmt::format("It was not taught: {}\n", fmt::join(unknown, ", ")));
}

void say_where(const std::string& video) {
  if (!fs::exists(video)) return;  // dry run, or no encoder; the log says more
  const std::string sheet = fs::path(video).replace_extension(".png").string();
  say(fmt::format("\nThe video is {}, its frames side by side are {}.\n", shown(video, std::string::npos),
                  shown(sheet, std::string::npos)));
}

}  // namespace

Command make_demo() {
  const auto options = std::make_shared<worker::Options>();
  set_defaults(*options);
  Command command{"demo", "makes a video with the small model of the repository; needs no GPU",
                  "[--prompt TEXT] [options]", run_keys(*options)};
  command.takes_ranks = true;
  command.takes_config = true;
  command.can_stop = true;
  command.default_ranks = 2;
  command.more_help = "Here --offload.type is async unless told otherwise.\n";
  if (const auto model = find_demo_model()) command.more_help += describe(read_demo_words(*model));
  command.check = [options, groups = command.groups](const CommandLine& line, int ranks) {
    refuse_positional(line);
    apply_settings(groups, with_model(groups, line), *options);
    options->config_files = line.config_files;
    if (!options->run.jobs.empty())
      throw UserError("--jobs: ferry demo makes one video; ferry generate takes it");
    fill_in(*options);
    check_options(*options, ranks);
  };
  command.run = [options](int& argc, char**& argv) {
    if (is_reporting_process()) say_words(*options);
    const int code = run_worker(argc, argv, *options);
    if (is_reporting_process() && code == 0) say_where(options->job.out);
    return code;
  };
  return command;
}

}  // namespace ferry::launcher
