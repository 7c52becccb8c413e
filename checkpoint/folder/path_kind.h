// Queries of a path; errors count as "does not exist".
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace ferry::checkpoint {

inline bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

inline bool is_folder(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

// The path if it is a file, else empty.
inline std::string if_file(const std::filesystem::path& path) {
  return is_file(path) ? path.string() : std::string();
}

}  // namespace ferry::checkpoint
