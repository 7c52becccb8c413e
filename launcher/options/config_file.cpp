#include "launcher/options/config_file.h"

#include <fmt/format.h>

#include <fstream>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/options/names.h"
#include "launcher/options/options.h"
#include "launcher/options/paths.h"

namespace ferry::launcher {
namespace {

constexpr std::size_t kMostBytes = 16'000'000;  // no .cfg file has more

std::string full_key(const ConfigEntry& entry) {
  if (entry.group.empty()) return entry.key;
  return entry.group + (entry.group.ends_with('.') ? "" : ".") + entry.key;
}

void check_group(const std::string& path, const std::string& group, const Names& names) {
  const std::string name = group.ends_with('.') ? group.substr(0, group.size() - 1) : group;
  if (is_group(name, names)) return;
  throw UserError(fmt::format("{}: unknown group [{}]{}", path, shown(group), meant_group(name, names)));
}

const Flag& flag_of(const std::string& path, const std::string& key, const Names& names) {
  const auto found = names.find(key);
  if (found != names.end()) return *found->second;
  const std::string word = key.substr(std::min(key.find_first_not_of('-'), key.size()));
  throw UserError(fmt::format("{}: unknown key '{}'{}", path, shown(key), meant(word, names, Place::File)));
}

}  // namespace

std::vector<ConfigEntry> read_config_entries(const std::string& path, const std::string& option) {
  check_input_file(option, path);
  std::ifstream file(path, std::ios::binary);
  const std::string text = read_to_end(file, fmt::format("{}: {}", option, path), kMostBytes);
  try {
    return parse_config_text(text);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", path, error.what()));
  }
}

std::vector<Setting> settings_of(const std::vector<FlagGroup>& groups, const std::string& path,
                                 const std::vector<ConfigEntry>& entries) {
  const Names names = names_of(groups);
  std::vector<Setting> settings;
  for (const ConfigEntry& entry : entries) {
    if (entry.key.empty()) {
      check_group(path, entry.group, names);
      continue;
    }
    const std::string key = full_key(entry);
    settings.push_back({&flag_of(path, key, names), fmt::format("{}: {}", path, key), entry.value});
  }
  refuse_repeated(settings);
  return settings;
}

std::vector<Setting> parse_config_file(const std::vector<FlagGroup>& groups, const std::string& path,
                                       const std::string& option) {
  return settings_of(groups, path, read_config_entries(path, option));
}

}  // namespace ferry::launcher
