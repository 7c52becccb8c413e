#include "checkpoint/folder/hub_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/folder/path_kind.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error)) {
    if (is_folder(item.path())) names.push_back(item.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The commit in refs/main, or empty.
std::string main_commit(const fs::path& top) {
  constexpr std::size_t kLongest = 256;
  std::ifstream file(top / "refs" / "main");
  std::string commit(kLongest, '\0');
  file.read(commit.data(), static_cast<std::streamsize>(kLongest));
  commit.resize(static_cast<std::size_t>(file.gcount()));
  commit.resize(std::min(commit.find('\n'), commit.size()));
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  return commit;
}

bool is_cached_model(const fs::path& top) {
  const bool named = top.filename().string().starts_with("models--");
  return is_folder(top / "snapshots") && (named || is_folder(top / "refs") || is_folder(top / "blobs"));
}

std::string snapshot_of(const fs::path& top) {
  const std::vector<std::string> snapshots = folders_in(top / "snapshots");
  const std::string commit = main_commit(top);
  if (std::find(snapshots.begin(), snapshots.end(), commit) != snapshots.end())
    return (top / "snapshots" / commit).string();
  if (snapshots.size() == 1) return (top / "snapshots" / snapshots[0]).string();
  if (snapshots.empty())
    throw UserError(fmt::format("model folder {}: a Hugging Face cache without a snapshot; download it again",
                                top.string()));
  throw UserError(
      fmt::format("model folder {}: a Hugging Face cache with {} snapshots and no refs/main that names one; "
                  "accepted: {}/snapshots/ and one of {}",
                  top.string(), snapshots.size(), top.string(), fmt::join(snapshots, ", ")));
}

// Wan-AI/Wan2.1-T2V-1.3B, with or without https://huggingface.co/; empty if it is not such a name.
std::string hub_name(std::string path) {
  for (const std::string start : {"https://", "http://", "huggingface.co/", "hf.co/"}) {
    if (path.starts_with(start)) path.erase(0, start.size());
  }
  while (path.ends_with('/')) path.pop_back();
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  const bool one_slash = std::count(path.begin(), path.end(), '/') == 1 && !path.starts_with('/');
  if (!one_slash || path[0] == '.' || !std::all_of(path.begin(), path.end(), plain)) return "";
  return path;
}

// The Hub's download cache: HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub.
fs::path hub_cache() {
  if (const char* folder = std::getenv("HF_HUB_CACHE")) return folder;
  if (const char* home = std::getenv("HF_HOME")) return fs::path(home) / "hub";
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".cache" / "huggingface" / "hub";
}

std::string advice_for(const std::string& path) {
  std::string name = hub_name(path);
  if (name.empty()) return "";
  const std::string folder = name.substr(name.find('/') + 1);
  const std::string cached = "models--" + std::string(name).replace(name.find('/'), 1, "--");
  if (is_cached_model(hub_cache() / cached)) {
    return fmt::format("; it was downloaded to {}, which is accepted", (hub_cache() / cached).string());
  }
  return fmt::format(
      "; a model of the Hugging Face Hub is downloaded first: hf download {} --local-dir {} (older: "
      "huggingface-cli download)",
      name, folder);
}

}  // namespace

std::string model_folder(const std::string& path) {
  fs::path top = fs::path(path);
  if (!top.has_filename()) top = top.parent_path();
  if (is_cached_model(top)) return snapshot_of(top);
  if (top.filename() == "snapshots" && is_cached_model(top.parent_path()))
    return snapshot_of(top.parent_path());
  return path;
}

std::string existing_model_folder(const std::string& path) {
  const std::string folder = model_folder(path);
  std::error_code error;
  if (fs::is_directory(folder, error)) return folder;
  const std::string shown = folder.empty() ? "\"\"" : folder;
  if (fs::exists(folder, error)) {
    throw UserError(fmt::format(
        "model folder {}: it is a file; the folder that holds the checkpoint is expected", shown));
  }
  throw UserError(fmt::format("model folder {}: it does not exist{}", shown, advice_for(folder)));
}

}  // namespace ferry::checkpoint
