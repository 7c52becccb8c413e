#include "launcher/options/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/error.h"
#include "checkpoint/folder/hub_folder.h"
#include "launcher/options/config_file.h"
#include "launcher/options/keys.h"
#include "launcher/options/loras.h"
#include "launcher/options/paths.h"

namespace ferry::launcher {
namespace {

constexpr const char* kModelFile = "ferry.cfg";

std::string last_value(const std::vector<Setting>& settings, const std::string& key) {
  for (auto setting = settings.rbegin(); setting != settings.rend(); ++setting) {
    if (setting->flag->key == key) return setting->value;
  }
  return "";
}

std::vector<Setting> model_settings(const std::vector<FlagGroup>& groups, const std::string& model_dir) {
  const std::filesystem::path file = std::filesystem::path(checkpoint::model_folder(model_dir)) / kModelFile;
  std::error_code error;
  // A dangling link counts as existing.
  if (model_dir.empty() || !std::filesystem::exists(std::filesystem::symlink_status(file, error))) return {};
  std::vector<Setting> settings = parse_config_file(groups, file.string(), "--model");
  for (const Setting& setting : settings) {
    if (!is_model_default(setting.flag->key)) {
      throw UserError(
          fmt::format("{}: a model's own file sets only how its videos are made", setting.written));
    }
  }
  for (Setting& setting : settings) setting.of_model = true;
  return settings;
}

// Appends the settings of a source that overrules those before it.  The last one overrules the others by
// itself; of a flag that repeats, all that were given before go, and with the LoRAs their strengths.
void overrule(std::vector<Setting>& settings, const std::vector<Setting>& by) {
  std::erase_if(settings, [&](const Setting& before) {
    return before.flag->repeats && std::ranges::any_of(by, [&](const Setting& each) {
             return each.flag == before.flag ||
                    (each.flag->key == "lora.path" && before.flag->key == "lora.strength");
           });
  });
  settings.insert(settings.end(), by.begin(), by.end());
}

}  // namespace

std::vector<Setting> gather_settings(const std::vector<FlagGroup>& groups, const CommandLine& line) {
  std::vector<Setting> given;
  for (const std::string& path : line.config_files) {
    overrule(given, parse_config_file(groups, path));
  }
  overrule(given, line.settings);
  std::vector<Setting> all = model_settings(groups, expand_home(last_value(given, "model.path")));
  all.insert(all.end(), given.begin(), given.end());
  return without_overruled(std::move(all));
}

std::vector<Setting> without_overruled(std::vector<Setting> settings) {
  if (!last_value(settings, "job.latents").empty()) {
    std::erase_if(settings, [](const Setting& setting) {
      return setting.of_model && !is_decoding_default(setting.flag->key);
    });
  }
  return settings;
}

void apply_settings(const std::vector<FlagGroup>& groups, const std::vector<Setting>& settings,
                    worker::Options& options) {
  std::map<std::string, std::string> values;
  for (const bool of_stages : {false, true}) {
    for (const Setting& setting : settings) {
      if (is_stage_key(setting.flag->key) != of_stages) continue;
      setting.flag->set(setting.written, setting.value);
      std::string& value = values[setting.flag->key];
      value = setting.flag->repeats && !value.empty() ? value + ", " + setting.value : setting.value;
    }
  }
  options.job.loras = loras_of(options.lora);
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) {
      const auto given = values.find(flag.key);
      if (given != values.end()) options.echo.emplace_back(flag.key, given->second);
    }
  }
}

}  // namespace ferry::launcher
