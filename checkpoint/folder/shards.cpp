#include "checkpoint/folder/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/names/keys.h"
#include "checkpoint/quantization/quantization_names.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kIndexEnd = ".safetensors.index.json";
constexpr std::string_view kFileEnd = ".safetensors";

std::vector<std::string> names_in(const std::string& folder, std::string_view end) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error)) {
    const std::string name = item.path().filename().string();
    // Dot files are still being written.
    if (name.ends_with(end) && name[0] != '.') names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Tensor name -> file name, from the index.
std::map<std::string, std::string> read_weight_map(const std::string& index) {
  const json root = read_json_object(index);
  const auto map = root.find("weight_map");
  if (map == root.end() || !map->is_object()) throw UserError(index + ": no weight_map in it");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : std::string();
    const bool outside = name == "." || name == ".." || name.find('/') != std::string::npos;
    if (name.empty() || outside || name.find('\0') != std::string::npos) {
      throw UserError(fmt::format("{}: tensor {}: {} is no name of a file in the same folder", index,
                                  printable(tensor), printable(file.dump())));
    }
    files[tensor] = name;
  }
  if (files.empty()) throw UserError(index + ": its weight_map is empty");
  return files;
}

PartFiles with_index(const std::string& folder, const std::string& name) {
  PartFiles found;
  found.index = (fs::path(folder) / name).string();
  std::set<std::string> shards;
  for (const auto& [tensor, file] : read_weight_map(found.index)) shards.insert(file);
  for (const std::string& shard : shards) {
    const fs::path path = fs::path(folder) / shard;
    std::error_code error;
    if (!fs::exists(path, error)) {
      throw UserError(fmt::format("{}: it names the shard {}, which is not in {}", found.index,
                                  printable(shard), folder));
    }
    found.files.push_back(path.string());
  }
  return found;
}

bool is_of_quantization(const TensorEntry& entry) {
  return quantization_name(without_prefix(entry.source_key)).role != QuantizationRole::None;
}

// n of "<stem>-0000i-of-0000n.safetensors"; 0 for another name.
int shards_of(std::string_view name, const std::string& stem) {
  constexpr std::string_view kDigits = "0123456789";
  const std::string pattern = stem + "-#####-of-#####" + std::string(kFileEnd);
  if (name.size() != pattern.size()) return 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool number = i >= stem.size() && pattern[i] == '#';
    if (number ? kDigits.find(name[i]) == std::string_view::npos : name[i] != pattern[i]) return 0;
  }
  return std::stoi(std::string(name.substr(name.size() - kFileEnd.size() - 5, 5)));
}

// <stem>-0000i-of-0000n.safetensors without an index: all n must exist.
PartFiles numbered(const std::string& folder, const std::string& stem,
                   const std::vector<std::string>& names) {
  PartFiles found;
  for (const std::string& name : names) {
    const int count = shards_of(name, stem);
    for (int i = 1; i <= count; ++i) {
      const fs::path shard = fs::path(folder) / fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i, count);
      if (!fs::exists(shard))
        throw UserError(fmt::format("{}: the shard is missing, others of its set are there", shard.string()));
      found.files.push_back(shard.string());
    }
    if (count > 0) return found;
  }
  return found;
}

PartFiles only_one(const std::string& folder, const std::vector<std::string>& indices,
                   const std::vector<std::string>& files) {
  PartFiles found;
  if (indices.size() == 1) return with_index(folder, indices[0]);
  if (files.size() == 1) found.files = {(fs::path(folder) / files[0]).string()};
  if (files.size() > 1) {
    throw UserError(
        fmt::format("{}: several safetensors files ({}, {} ...) and no index that says which belong together",
                    folder, files[0], files[1]));
  }
  return found;
}

}  // namespace

PartFiles find_safetensors(const std::string& folder, const std::vector<std::string>& stems, bool any_name) {
  const std::vector<std::string> indices = names_in(folder, kIndexEnd);
  const std::vector<std::string> files = names_in(folder, kFileEnd);
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& stem : stems) {
    const std::string index = stem + std::string(kIndexEnd);
    const std::string file = stem + std::string(kFileEnd);
    if (has(indices, index)) return with_index(folder, index);
    if (has(files, file))
      return {.files = {(fs::path(folder) / file).string()}, .index = {}, .config = {}, .dit_config = {}};
    PartFiles shards = numbered(folder, stem, files);
    if (!shards.files.empty()) return shards;
  }
  return any_name ? only_one(folder, indices, files) : PartFiles{};
}

Shards open_shards(const PartFiles& part) {
  Shards shards;
  std::unordered_map<std::string, std::string> holder;  // tensor -> file it was found in
  std::map<std::string, std::string> weight_map;
  if (!part.index.empty()) weight_map = read_weight_map(part.index);
  for (const std::string& path : part.files) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    const std::string name = fs::path(path).filename().string();
    for (const TensorEntry& entry : file.entries()) {
      const auto wanted = weight_map.find(entry.source_key);
      const bool named = part.index.empty() || wanted != weight_map.end();
      if (!named && !is_of_quantization(entry)) {
        shards.unindexed.push_back(entry.source_key);
        continue;
      }
      if (wanted != weight_map.end() && wanted->second != name) continue;
      const auto [other, added] = holder.emplace(entry.source_key, path);
      if (!added) {
        throw UserError(
            fmt::format("{}: tensor {} is also in {}", path, printable(entry.source_key), other->second));
      }
      shards.entries.push_back(entry);
    }
    shards.mappings.push_back(file.mapping());
    const auto mark = file.metadata().find("_quantization_metadata");
    if (mark != file.metadata().end()) shards.marks.emplace_back(path, mark->second);
  }
  for (const auto& [tensor, file] : weight_map) {
    if (!holder.contains(tensor)) {
      throw UserError(
          fmt::format("{}: tensor {} should be in {} and is not", part.index, printable(tensor), file));
    }
  }
  return shards;
}

}  // namespace ferry::checkpoint
