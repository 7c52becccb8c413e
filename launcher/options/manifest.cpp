#include "launcher/options/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text/shown.h"
#include "checkpoint/formats/json_text.h"
#include "launcher/options/keys.h"
#include "launcher/options/loras.h"
#include "launcher/options/names.h"
#include "launcher/options/numbers.h"
#include "launcher/options/options.h"
#include "launcher/options/paths.h"
#include "launcher/options/settings.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostBytes = 100'000'000;
constexpr std::string_view kGroup = "job.";
constexpr const char* kLoras = "lora";  // in place of the keys of [lora]
constexpr const char* kStandardInput = "-";

std::string name_of_manifest(const std::string& path) {
  return path == kStandardInput ? "standard input" : shown(path, std::string::npos);
}

struct Line {
  int number = 0;
  std::string_view text;
};

// Lines with something in them.
std::vector<Line> lines_of(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<Line> lines;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back({number, line});
  }
  return lines;
}

struct Object {
  Json json;
  std::string too_large;  // the first number that is, as written; empty: none
};

Object object_of(const Line& line, const std::string& path) {
  const std::string place = fmt::format("{}: line {}", name_of_manifest(path), line.number);
  const std::optional<Saturated> saturated = saturated_numbers(line.text);
  Json json = checkpoint::parse_json(saturated ? saturated->text : line.text, place);
  if (!json.is_object()) throw UserError(place + ": it is no JSON object, as in {\"prompt\": \"a boat\"}");
  return {.json = std::move(json), .too_large = saturated ? saturated->first : ""};
}

std::string text_of(const std::string& key, const Json& value) {
  const bool is_plain = value.is_string() || value.is_number() || value.is_boolean();
  if (!is_plain)
    throw UserError(fmt::format("{}: {} is no text, number, true or false", key, shown(value.dump())));
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find('\0') != std::string::npos) throw UserError(key + ": it contains a zero byte");
  return text;
}

// The flags of [job], as keys of an item.
Names job_names(const std::vector<FlagGroup>& groups) {
  Names names;
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) {
      if (!flag.key.starts_with(kGroup)) continue;
      names[flag.key] = &flag;
      names[flag.key.substr(kGroup.size())] = &flag;
    }
  }
  return names;
}

const Flag& flag_of(const std::string& key, const Names& names, const Names& all) {
  if (const auto found = names.find(key); found != names.end()) return *found->second;
  if (all.contains(key)) {
    throw UserError(
        fmt::format("{}: it is the same for all videos; accepted on the command line", shown(key)));
  }
  throw UserError(fmt::format("unknown key '{}'{}", shown(key), meant(key, names, Place::Manifest)));
}

// Settings of the command line with the flags that `names` has.
std::vector<Setting> with_flags_of(const Names& names, const std::vector<Setting>& given) {
  std::vector<Setting> settings;
  for (Setting setting : given) {
    if (setting.flag->key == "run.jobs") continue;
    setting.flag = names.at(setting.flag->key);
    settings.push_back(std::move(setting));
  }
  return settings;
}

// A file name, for a video without `out`.
std::string name_of(const Json& id) {
  const std::string name = text_of("id", id);
  if (name.empty() || name.starts_with('.') || name.find('/') != std::string::npos)
    throw UserError(
        fmt::format("id {}: the video is named after it: it must be a file name, without '/' and "
                    "without a dot at its beginning; or give `out`",
                    shown(name)));
  if (name.size() > NAME_MAX) {
    throw UserError(fmt::format(
        "id {}: the video is named after it: it has {} bytes, file names at most {}; or give `out`",
        shown(name), name.size(), NAME_MAX));
  }
  return name;
}

// Reads items one after the other; the table of keys, which costs more than an item, is made once.
class ItemReader {
 public:
  explicit ItemReader(const std::vector<Setting>& given) : given_(with_flags_of(all_, given)) {}
  ItemReader(const ItemReader&) = delete;  // the table refers to options_
  ItemReader& operator=(const ItemReader&) = delete;

  worker::BatchItem item_of(const Object& object, int line) {
    worker::BatchItem item;
    item.line = line;
    const Json id = object.json.value("id", Json());
    item.id = id.dump();
    const std::string by_line = fmt::format("line-{:04}", line);
    item.job.name = by_line;  // of one that is wrong
    try {
      if (!object.too_large.empty())
        throw UserError(fmt::format("{}: the number is too large", shown(object.too_large)));
      read(object.json, item);
      item.job.name = by_line;
      if (item.job.out.empty() && !id.is_null()) item.job.name = name_of(id);
    } catch (const UserError& error) {
      item.error = error.what();
    }
    return item;
  }

 private:
  void read(const Json& object, worker::BatchItem& item) {
    std::vector<Setting> own;
    for (const auto& [key, value] : object.items()) {
      if (key != "id" && key != kLoras)
        own.push_back({&flag_of(key, of_items_, all_), key, text_of(key, value)});
    }
    refuse_repeated(own);
    std::vector<Setting> settings = given_;
    settings.insert(settings.end(), own.begin(), own.end());
    options_ = {};
    apply_settings(groups_, without_overruled(std::move(settings)), options_);
    item.job = std::move(options_.job);
    item.echo = std::move(options_.echo);
    if (object.contains(kLoras)) take_loras(object[kLoras], item);
  }

  static void take_loras(const Json& list, worker::BatchItem& item) {
    item.job.loras = loras_of(list);
    std::erase_if(item.echo, [](const auto& option) {
      return option.first == "lora.path" || option.first == "lora.strength";
    });
    item.echo.emplace_back(kLoras, list.dump());
  }

  worker::Options options_;  // of one item
  const std::vector<FlagGroup> groups_ = run_keys(options_);
  const Names all_ = names_of(groups_);
  const Names of_items_ = job_names(groups_);
  const std::vector<Setting> given_;
};

}  // namespace

std::string read_manifest(const std::string& path) {
  std::ifstream file;
  if (path != kStandardInput) file.open(path, std::ios::binary);
  std::istream& source = path == kStandardInput ? std::cin : file;
  return read_to_end(source, "--jobs: " + name_of_manifest(path), kMostBytes);
}

std::vector<worker::BatchItem> parse_manifest(std::string_view text, const std::string& path,
                                              const std::vector<Setting>& given) {
  std::vector<worker::BatchItem> items;
  ItemReader reader(given);
  for (const Line& line : lines_of(text)) items.push_back(reader.item_of(object_of(line, path), line.number));
  if (items.empty()) throw UserError(name_of_manifest(path) + ": line 1: there is no item");
  try {
    std::vector<std::pair<std::string, std::string>> taken = {
        {failed_path_of(path), "the list of failed items"}};
    if (path != kStandardInput) taken.emplace_back(path, "the manifest");
    worker::check_outputs_differ(items, taken);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", name_of_manifest(path), error.what()));
  }
  return items;
}

std::string failed_path_of(const std::string& path) {
  return (path == kStandardInput ? "stdin" : path) + std::string(".failed.jsonl");
}

}  // namespace ferry::launcher
