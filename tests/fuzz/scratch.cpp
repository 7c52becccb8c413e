#include "tests/fuzz/scratch.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/files/file.h"
#include "tests/support/temporary_folder.h"

namespace ferry::fuzz {

std::string scratch(const std::string& name) {
  static const testing::TemporaryFolder folder;
  return folder.file(name);
}

std::string put(const std::string& name, std::string_view bytes) {
  const std::string path = scratch(name);
  const auto open = [&] { return std::ofstream(path, std::ios::binary | std::ios::trunc); };
  std::ofstream file = open();
  if (!file) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    file = open();
  }
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
  return path;
}

std::string made_by(const std::function<void(const std::string& path)>& write) {
  const std::string path = scratch("made");
  write(path);
  return read_file(path);
}

}  // namespace ferry::fuzz
