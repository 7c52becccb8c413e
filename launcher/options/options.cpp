#include "launcher/options/options.h"

#include <fmt/format.h>

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "launcher/options/names.h"
#include "launcher/options/paths.h"
#include "launcher/options/value.h"

namespace po = boost::program_options;

namespace ferry::launcher {
namespace {

constexpr unsigned kHelpWidth = 110;

po::options_description command_line_names(const Names& names) {
  po::options_description description;
  for (const auto& [name, flag] : names) {
    if (flag->is_switch) {
      description.add_options()(name.c_str(), po::bool_switch());
    } else {
      description.add_options()(name.c_str(), po::value<std::string>());
    }
  }
  description.add_options()("config", po::value<std::string>());
  description.add_options()("ranks,n", po::value<std::string>());
  description.add_options()("help,h", po::bool_switch());
  return description;
}

[[noreturn]] void throw_unknown_option(const std::string& token, const Names& names) {
  const std::string name = token.substr(0, token.find('='));
  const std::string word = name.substr(std::min(name.find_first_not_of('-'), name.size()));
  throw UserError(fmt::format("{}: unknown option{}", name, meant(word, names, Place::CommandLine)));
}

// Boost rejects "--negative_prompt=", an empty value.
std::vector<std::string> split_empty_values(const std::vector<std::string>& args) {
  std::vector<std::string> split;
  for (const std::string& arg : args) {
    if (arg.size() > 3 && arg.starts_with("--") && arg.find('=') == arg.size() - 1) {
      split.push_back(arg.substr(0, arg.size() - 1));
      split.emplace_back();
    } else {
      split.push_back(arg);
    }
  }
  return split;
}

std::vector<po::option> tokens_of(const std::vector<std::string>& args,
                                  const po::options_description& description) {
  namespace style = po::command_line_style;
  const int kStyle = style::allow_long | style::long_allow_next | style::long_allow_adjacent |
                     style::allow_short | style::allow_dash_for_short | style::short_allow_next |
                     style::short_allow_adjacent;
  try {
    po::command_line_parser parser(split_empty_values(args));
    return parser.options(description).style(kStyle).allow_unregistered().run().options;
  } catch (const po::invalid_command_line_syntax& error) {
    const bool extra = error.kind() == po::invalid_syntax::extra_parameter;
    const std::string name = error.get_option_name();
    throw UserError(fmt::format("{}: {}", name == "--ranks" ? "-n" : name,
                                extra ? "takes no value" : "the value is missing"));
  }
}

std::string value_of(const po::option& token) { return token.value.empty() ? "" : token.value.front(); }

bool is_option(const std::string& word, const Names& names) {
  if (word.starts_with("--")) {
    const std::string name = word.substr(2, word.find('=') - 2);
    return names.contains(name) || name == "config" || name == "ranks" || name == "help";
  }
  return word == "-h" ||
         (word.starts_with("-n") && word.find_first_not_of("0123456789", 2) == std::string::npos);
}

// "--name --other": the value is missing. "--name=--other" is a value.
void refuse_option_as_value(const po::option& token, const Names& names) {
  if (token.original_tokens.size() < 2 || !is_option(value_of(token), names)) return;
  throw UserError(
      fmt::format("{}: the value is missing", token.string_key == "ranks" ? "-n" : "--" + token.string_key));
}

// The setting for "--name value".
Setting setting_of(const po::option& token, const Names& names) {
  Setting setting{names.at(token.string_key), "--" + token.string_key, value_of(token)};
  if (setting.flag->is_switch) setting.value = "true";
  return setting;
}

// Handles one token of the command line.
void take_token(const po::option& token, const Names& names, CommandLine& line) {
  if (token.unregistered) throw_unknown_option(token.original_tokens.front(), names);
  refuse_option_as_value(token, names);
  if (token.position_key >= 0) {
    line.positional.push_back(value_of(token));
  } else if (token.string_key == "help") {
    line.help = true;
  } else if (token.string_key == "config") {
    line.config_files.push_back(expand_home(value_of(token)));
  } else if (token.string_key == "ranks") {
    if (value_of(token) == "p") throw UserError("-np: unknown option; did you mean -n?");
    line.ranks = static_cast<int>(to_integer("-n", value_of(token), 1, 4096));
  } else {
    line.settings.push_back(setting_of(token, names));
  }
}

}  // namespace

CommandLine parse_command_line(const std::vector<FlagGroup>& groups, const std::vector<std::string>& args) {
  const Names names = names_of(groups);
  const po::options_description description = command_line_names(names);
  CommandLine line;
  for (const po::option& token : tokens_of(args, description)) take_token(token, names, line);
  refuse_repeated(line.settings);
  return line;
}

void refuse_repeated(const std::vector<Setting>& settings) {
  std::set<std::string> seen;
  for (const Setting& setting : settings) {
    if (!setting.flag->repeats && !seen.insert(setting.flag->key).second) {
      throw UserError(fmt::format("{}: given twice", setting.written));
    }
  }
}

std::string describe(const std::vector<FlagGroup>& groups) {
  std::ostringstream out;
  for (const FlagGroup& group : groups) {
    if (!group.listed) {
      out << group.title << "\n\n";
      continue;
    }
    po::options_description description(group.title, kHelpWidth, kHelpWidth / 2);
    for (const Flag& flag : group.flags) {
      const std::string& name = flag.short_form.empty() ? flag.key : flag.short_form;
      std::string help = flag.help;
      if (!flag.default_text.empty()) help += fmt::format(" ({})", flag.default_text);
      if (flag.is_switch) {
        description.add_options()(name.c_str(), help.c_str());
      } else {
        auto* value = po::value<std::string>()->value_name(flag.value_name);
        description.add_options()(name.c_str(), value, help.c_str());
      }
    }
    out << description << '\n';
  }
  return out.str();
}

}  // namespace ferry::launcher
