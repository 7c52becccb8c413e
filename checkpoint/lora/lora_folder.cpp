#include "checkpoint/lora/lora_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/files/folder_of.h"
#include "base/text/describe.h"
#include "checkpoint/folder/hub_folder.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "adapter_config.json";

bool is_adapter_model(const std::string& name) {
  return name.starts_with("adapter_model") && name.ends_with(".safetensors");
}

// "x-00001-of-00002.safetensors"
bool is_shard(const std::string& name) {
  const std::size_t of = name.rfind("-of-");
  if (of == std::string::npos || !name.ends_with(".safetensors")) return false;
  const std::string number = name.substr(of + 4, name.size() - of - 4 - std::string(".safetensors").size());
  return !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
}

// Sorted names of a folder's files, without hidden ones.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code unused;
    if (!name.starts_with(".") && !at->is_directory(unused)) names.push_back(name);
  }
  if (error) throw UserError(fmt::format("{}: cannot be listed: {}", folder.string(), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> only(const std::vector<std::string>& names, bool (*wanted)(const std::string&)) {
  std::vector<std::string> found;
  std::copy_if(names.begin(), names.end(), std::back_inserter(found), wanted);
  return found;
}

bool is_safetensors(const std::string& name) { return name.ends_with(".safetensors"); }

bool is_pickle(const std::string& name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt");
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kListed = 8;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(kListed, names.size()); ++i) shown.push_back(printable(names[i]));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (names.size() > kListed) text += fmt::format(" and {} more", names.size() - kListed);
  return text;
}

void refuse_shard(const fs::path& file) {
  if (!is_shard(file.filename().string())) return;
  throw UserError(fmt::format("{}: one shard of a LoRA; a LoRA in one file is expected", file.string()));
}

std::string file_in(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  std::vector<std::string> files = only(names, is_adapter_model);
  if (files.empty()) files = only(names, is_safetensors);
  if (files.size() == 1) return (folder / files[0]).string();
  if (!files.empty() && is_shard(files[0])) refuse_shard(folder / files[0]);
  if (!files.empty()) {
    throw UserError(
        fmt::format("{}: several LoRA files: {}; name one of them", folder.string(), listed(files)));
  }
  const std::vector<std::string> pickles = only(names, is_pickle);
  if (!pickles.empty()) {
    throw UserError(
        fmt::format("{}: {} is no safetensors file; a LoRA is read from adapter_model.safetensors",
                    folder.string(), listed(pickles)));
  }
  throw UserError(fmt::format("{}: no .safetensors file in this folder", folder.string()));
}

}  // namespace

std::string lora_file(const std::string& path) {
  std::error_code error;
  const std::string file = fs::is_directory(path, error) ? file_in(model_folder(path)) : path;
  refuse_shard(file);
  return file;
}

AdapterConfig adapter_config_of(const std::string& file) {
  std::error_code error;
  for (const fs::path& place : {fs::path(file), fs::weakly_canonical(file, error)}) {
    const fs::path folder = folder_of(place.string());
    if (place.empty() || !fs::exists(fs::symlink_status(folder / kConfig, error))) continue;
    const std::string name = place.filename().string();
    const bool belongs =
        is_adapter_model(name) || only(names_in(folder), is_safetensors) == std::vector<std::string>{name};
    return {(folder / kConfig).string(), belongs};
  }
  return {};
}

}  // namespace ferry::checkpoint
