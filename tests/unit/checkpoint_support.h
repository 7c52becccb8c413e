// What the tests of checkpoint share: folders that go away, files by hand, Python's torch, refusals.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace ferry::testing {

// A folder below the system's temporary one, removed with all that is in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

void write_bytes(const std::string& path, std::string_view bytes);
std::string read_bytes(const std::string& path);

// A safetensors file from its header's text and its data.
std::string safetensors_bytes(const std::string& header, const std::string& data);

// The models/demo folder of the repository.
std::string demo_model();

// Runs a Python script that has torch, with arguments; fails the test with its output when it fails.  The
// interpreter is FERRY_PYTHON or the repository's .venv.  Returns what it printed.
std::string run_python(const std::string& script, const std::vector<std::string>& arguments);
// Whether there is such an interpreter.
bool has_python();

// The message of the UserError that `call` throws; fails the test when it throws none, or when the message
// has several lines.
std::string refusal(const std::function<void()>& call);

}  // namespace ferry::testing
