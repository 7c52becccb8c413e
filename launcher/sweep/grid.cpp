#include "launcher/sweep/grid.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/text/nearest.h"
#include "base/text/shown.h"
#include "launcher/check.h"
#include "launcher/options/config_file.h"
#include "launcher/options/keys.h"
#include "launcher/options/names.h"
#include "launcher/options/settings.h"
#include "launcher/options/value.h"
#include "model/text/unicode.h"
#include "worker/planner/shapes.h"

namespace ferry::launcher {
namespace {

constexpr const char* kGroup = "grid";
constexpr int kMostRanks = 4096;
constexpr std::string_view kSpaces = " \t";

// A list of [grid]: its key's name, its values.
struct Axis {
  std::string name;
  std::string key;  // the option's
  std::vector<std::string> values;
};

bool is_of_sweep(const std::string& key) {
  constexpr auto kSingle = std::to_array<std::string_view>(
      {"job.size", "job.frames", "job.steps", "job.sampler", "job.guidance", "job.shift", "job.seed",
       "run.deadline_s", "run.log_level", "run.machine", "parallel.cfg", "parallel.ulysses",
       "parallel.exchange"});
  if (std::ranges::find(kSingle, key) != kSingle.end() || key.starts_with("attention.") ||
      key.starts_with("dit.offload."))
    return true;
  return key.starts_with("offload.") || (key.starts_with("model.") && key != "model.vae_dtype");
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin));
}

// "1, 2" or "[1, 2]"; one that stands twice is taken once.
std::vector<std::string> values_of(const std::string& where, const std::string& list) {
  std::string text = trimmed(list);
  if (text.starts_with('[') && text.ends_with(']')) text = trimmed(text.substr(1, text.size() - 2));
  std::vector<std::string> values;
  std::set<std::string> seen;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string value = trimmed(std::string_view(text).substr(begin, end - begin));
    if (value.empty()) {
      throw UserError(fmt::format("{}: '{}' {}; accepted: values with commas between them", where,
                                  shown(list), text.empty() ? "is an empty list" : "has an empty value"));
    }
    if (seen.insert(value).second) values.push_back(std::move(value));
    if (values.size() > kMostCells)
      throw UserError(fmt::format("{}: it has more than {} values", where, kMostCells));
    begin = end + 1;
  }
  return values;
}

const GridKey& key_named(const std::string& where, const std::string& name) {
  std::vector<std::string> names;
  for (const GridKey& key : grid_keys()) {
    if (name == key.name) return key;
    names.emplace_back(key.name);
  }
  const std::string near = nearest(name, names);
  throw UserError(fmt::format("{}: unknown key '{}'{}", where, shown(name),
                              near.empty() ? fmt::format("; accepted: {}", fmt::join(names, ", "))
                                           : fmt::format("; did you mean {}?", near)));
}

// Values go into rows, which are UTF-8.
void check_text(const std::string& where, const std::string& value) {
  if (model::first_not_utf8(value) != std::string::npos)
    throw UserError(fmt::format("{}: '{}' is not UTF-8 text", where, shown(value)));
}

// Checks each value by itself.
void check_values(const std::string& where, const Axis& axis, const Names& names) {
  for (const std::string& value : axis.values) {
    check_text(where, value);
    if (axis.key.empty()) {
      to_integer(where, value, 1, kMostRanks);
      continue;
    }
    names.at(axis.key)->set(where, value);
  }
}

// The lists in the order of grid_keys().
std::vector<Axis> axes_of(const std::string& path, const std::vector<ConfigEntry>& entries,
                          const Names& names) {
  const std::string section = fmt::format("{}: [grid]", path);
  std::map<std::string, Axis> given;
  for (const ConfigEntry& entry : entries) {
    const std::string where = fmt::format("{}: grid.{}", path, shown(entry.key));
    const GridKey& key = key_named(section, entry.key);
    Axis axis{key.name, key.key, values_of(where, entry.value)};
    check_values(where, axis, names);
    if (!given.emplace(key.name, std::move(axis)).second) throw UserError(where + ": given twice");
  }
  std::vector<Axis> axes;
  for (const GridKey& key : grid_keys()) {
    if (const auto axis = given.find(key.name); axis != given.end()) axes.push_back(axis->second);
  }
  return axes;
}

// Of several values a list is the place, not two.
void refuse_beside_grid(const std::vector<Setting>& settings, const std::vector<Axis>& axes) {
  for (const Setting& setting : settings) {
    const std::string& key = setting.flag->key;
    for (const Axis& axis : axes) {
      if (key != axis.key && "dit." + key != axis.key) continue;
      throw UserError(
          fmt::format("{}: [grid] has it too, as {}; accepted: one of the two", setting.written, axis.name));
    }
  }
}

std::size_t count_of(const std::string& path, const std::vector<Axis>& axes) {
  std::size_t count = 1;
  for (const Axis& axis : axes) {
    count *= axis.values.size();
    if (count > kMostCells)
      throw UserError(fmt::format("{}: the grid has more than {} cells", path, kMostCells));
  }
  return count;
}

// The cell of a number, counted as digits of which the last axis is the fastest.
SweepCell cell_of(std::size_t number, const std::vector<Axis>& axes, const worker::Echo& common) {
  SweepCell cell;
  cell.settings = common;
  worker::Echo own;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    const std::string& value = axis->values[number % axis->values.size()];
    number /= axis->values.size();
    if (axis->key.empty()) {
      cell.ranks = static_cast<int>(to_integer("ranks", value, 1, kMostRanks));
    } else {
      own.emplace_back(axis->key, value);
    }
  }
  cell.settings.insert(cell.settings.end(), own.rbegin(), own.rend());
  cell.options = options_of(cell.settings);
  return cell;
}

void split_entries(std::vector<ConfigEntry>& entries, std::vector<ConfigEntry>& grid) {
  for (const ConfigEntry& entry : entries) {
    if (entry.group == kGroup && !entry.key.empty()) grid.push_back(entry);
  }
  std::erase_if(entries, [](const ConfigEntry& entry) { return entry.group == kGroup; });
}

// What holds for every cell of a model unless the grid says otherwise: the size of benchmarks, and what the
// checkpoint's own ferry.cfg says of its videos.
worker::Echo model_defaults(const std::string& model, Models models) {
  worker::Echo defaults = {{"job.size", "416x240"}, {"job.frames", "17"}};
  if (models == Models::FoldersAndNames && worker::dit_by_name(model)) return defaults;
  worker::Options scratch;
  scratch.model.path = model;
  try {
    check_model(scratch, 0);
  } catch (const UserError& error) {
    if (models == Models::Folders) throw;
    throw UserError(fmt::format("{}; known by name are 1.3B, 14B", error.what()));
  }
  const std::vector<FlagGroup> groups = run_keys(scratch);
  for (const Setting& setting : gather_settings(groups, parse_command_line(groups, {"--model", model}))) {
    if (!setting.of_model || !is_of_sweep(setting.flag->key)) continue;
    check_text(setting.written, setting.value);
    defaults.emplace_back(setting.flag->key, setting.value);
  }
  return defaults;
}

}  // namespace

std::vector<FlagGroup> sweep_keys(worker::Options& options) {
  std::vector<FlagGroup> groups = run_keys(options);
  for (FlagGroup& group : groups) {
    std::erase_if(group.flags, [](const Flag& flag) { return !is_of_sweep(flag.key); });
  }
  std::erase_if(groups, [](const FlagGroup& group) { return group.flags.empty(); });
  for (FlagGroup& group : groups) {
    if (!group.listed) group.title = "[dit]: the same for this stage, the one that is measured";
  }
  return groups;
}

worker::Options options_of(const worker::Echo& settings) {
  worker::Options options;
  const std::vector<FlagGroup> groups = sweep_keys(options);
  const Names names = names_of(groups);
  std::vector<Setting> all;
  for (const auto& [key, value] : settings) all.push_back({names.at(key), key, value});
  apply_settings(groups, all, options);
  return options;
}

std::vector<SweepCell> read_grid(const std::string& path, const std::vector<Setting>& line, Models models) {
  worker::Options scratch;
  const std::vector<FlagGroup> groups = sweep_keys(scratch);
  std::vector<ConfigEntry> entries = read_config_entries(path, "--grid");
  std::vector<ConfigEntry> grid;
  split_entries(entries, grid);
  if (grid.empty()) throw UserError(fmt::format("{}: it has no [grid] with lists, as in ranks = 1, 2", path));
  const std::vector<Axis> axes = axes_of(path, grid, names_of(groups));
  std::vector<Setting> common = settings_of(groups, path, entries);
  common.insert(common.end(), line.begin(), line.end());
  refuse_beside_grid(common, axes);
  worker::Echo settings;
  for (const Setting& setting : common) {
    check_text(setting.written, setting.value);
    setting.flag->set(setting.written, setting.value);
    settings.emplace_back(setting.flag->key, setting.value);
  }
  std::vector<SweepCell> cells;
  std::map<std::string, worker::Echo> defaults;  // by model
  const std::size_t count = count_of(path, axes);
  for (std::size_t number = 0; number < count; ++number) {
    SweepCell& cell = cells.emplace_back(cell_of(number, axes, settings));
    const std::string& model = cell.options.model.path;
    if (!defaults.contains(model)) defaults[model] = model_defaults(model, models);
    cell.settings.insert(cell.settings.begin(), defaults[model].begin(), defaults[model].end());
    cell.options = options_of(cell.settings);
  }
  return cells;
}

}  // namespace ferry::launcher
