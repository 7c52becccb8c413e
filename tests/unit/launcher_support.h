// Small helpers of the launcher's tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "launcher/options/keys.h"
#include "launcher/options/settings.h"

namespace ferry::launcher {

// What a UserError of `work` says; "" when nothing is thrown.
inline std::string user_error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

// The options that a command line of `generate` means.
inline worker::Options read(const std::vector<std::string>& args) {
  worker::Options options;
  const std::vector<FlagGroup> groups = run_keys(options);
  apply_settings(groups, gather_settings(groups, parse_command_line(groups, args)), options);
  return options;
}

inline std::string error_of(const std::vector<std::string>& args) {
  return user_error_of([&] { read(args); });
}

// A folder that goes when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ferry-launcher-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name) << content;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace ferry::launcher
