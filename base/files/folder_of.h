#pragma once

#include <filesystem>
#include <string>

namespace ferry {

// The folder of a file, "." where its path names none.
inline std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace ferry
