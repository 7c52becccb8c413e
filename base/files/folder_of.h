#pragma once

#include <filesystem>
#include <string>

namespace ferry {

// The folder part of a file's path; "." if it has none.
inline std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace ferry
