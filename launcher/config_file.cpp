#include "launcher/config_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "launcher/config_text.h"
#include "launcher/names.h"
#include "launcher/options.h"
#include "launcher/paths.h"
#include "launcher/shown.h"

namespace ferry::launcher {
namespace {

constexpr std::size_t kMostBytes = 16'000'000;

std::vector<ConfigEntry> read_entries(const std::string& path, const std::string& option) {
  check_input_file(option, path);
  const MappedFile file(path);
  if (file.bytes() > kMostBytes) {
    throw UserError(fmt::format("{}: {}: {} MB; a .cfg file has at most {} MB", option, path,
                                file.bytes() / 1'000'000, kMostBytes / 1'000'000));
  }
  try {
    return parse_config_text({reinterpret_cast<const char*>(file.data()), file.bytes()});
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", path, error.what()));
  }
}

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

std::vector<Setting> parse_config_file(const std::vector<FlagGroup>& groups, const std::string& path,
                                       const std::string& option) {
  const Names names = names_of(groups);
  std::vector<Setting> settings;
  for (const ConfigEntry& entry : read_entries(path, option)) {
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

}  // namespace ferry::launcher
