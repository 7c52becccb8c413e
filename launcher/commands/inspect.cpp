#include "checkpoint/inspect/inspect.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "base/error.h"
#include "checkpoint/network/unexpected.h"
#include "launcher/command.h"
#include "launcher/options/keys.h"
#include "launcher/options/paths.h"
#include "launcher/options/value.h"
#include "launcher/process/streams.h"

namespace ferry::launcher {
namespace {

struct InspectOptions {
  std::string path;
  bool json = false;
  bool tensors = false;
  std::map<checkpoint::Part, std::string> keys;  // for .pth files that hold several networks
};

std::vector<FlagGroup> inspect_keys(InspectOptions& options) {
  const auto into = [](bool& target) {
    return [&target](const std::string& flag, const std::string& value) { target = to_bool(flag, value); };
  };
  const auto key = [&options](checkpoint::Part part) {
    return [&options, part](const std::string&, const std::string& value) { options.keys[part] = value; };
  };
  FlagGroup group = {"[inspect]",
                     {{"json", "", "", "one JSON object instead of text", "", true, into(options.json)},
                      {"tensors", "", "", "list every tensor", "", true, into(options.tensors)}}};
  for (const checkpoint::PartName& each : checkpoint::kParts) {
    Flag flag = dict_key(each.word, each.title, &each == checkpoint::kParts.data());
    flag.set = key(each.part);
    group.flags.push_back(std::move(flag));
  }
  return {group};
}

// The first fault of a checkpoint as one line; empty if it is usable.
std::string first_fault(const checkpoint::InspectReport& report) {
  for (const checkpoint::PartReport& part : report.parts) {
    const std::string name(checkpoint::name_of(part.part));
    if (!part.error.empty()) return part.error;
    if (!part.missing.empty()) return name + ": tensor " + part.missing.front() + " is missing";
    if (!part.wrong_shapes.empty())
      return name + ": tensor " + part.wrong_shapes.front().key + " has a wrong shape";
    const checkpoint::Unexpected unexpected{part.unexpected, part.unknown_settings, {}};
    if (!unexpected.empty()) return fmt::format("{}: unexpected {}", name, to_text(unexpected));
  }
  return report.tokenizer_error.empty() ? report.scheduler_error : report.tokenizer_error;
}

int inspect(const InspectOptions& options) {
  const checkpoint::InspectReport report = checkpoint::inspect(options.path, options.keys);
  say(options.json ? checkpoint::to_json(report) + "\n" : checkpoint::to_text(report, options.tensors));
  if (!report.usable()) throw UserError(first_fault(report));
  return 0;
}

}  // namespace

Command make_inspect() {
  const auto options = std::make_shared<InspectOptions>();
  Command command{"inspect", "lists and validates a checkpoint folder", "DIR [options]",
                  inspect_keys(*options)};
  command.more_help = "Exit code 0 when every part can be used, 2 when one cannot.\n";
  command.check = [options](const CommandLine& line, int) {
    for (const Setting& setting : line.settings) setting.flag->set(setting.written, setting.value);
    if (line.positional.size() != 1) throw UserError("inspect: one checkpoint folder is needed");
    options->path = expand_home(line.positional.front());
  };
  command.run = [options](int&, char**&) { return inspect(*options); };
  return command;
}

}  // namespace ferry::launcher
