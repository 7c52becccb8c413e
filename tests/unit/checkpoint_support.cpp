#include "tests/unit/checkpoint_support.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace ferry::testing {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "ferry-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

void write_bytes(const std::string& path, std::string_view bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + data;
}

namespace {

std::string source_folder() {
  const char* folder = std::getenv("FERRY_SOURCE_DIR");
  if (folder != nullptr) return folder;
  return fs::path(__FILE__).parent_path().parent_path().parent_path().string();
}

std::string python() {
  const char* given = std::getenv("FERRY_PYTHON");
  return given != nullptr ? given : source_folder() + "/.venv/bin/python";
}

std::string quoted(const std::string& text) { return std::string(1, '\'').append(text).append("'"); }

}  // namespace

std::string demo_model() { return source_folder() + "/models/demo"; }

bool has_python() { return fs::exists(python()); }

std::string run_python(const std::string& script, const std::vector<std::string>& arguments) {
  const TempFolder folder;
  write_bytes(folder / "script.py", script);
  std::string command = quoted(python()).append(" ").append(quoted(folder / "script.py"));
  for (const std::string& argument : arguments) command.append(" ").append(quoted(argument));
  const int status = std::system((command + " > " + quoted(folder / "out") + " 2>&1").c_str());
  const std::string output = read_bytes(folder / "out");
  EXPECT_EQ(status, 0) << output;
  return output;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const UserError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not a UserError: " << error.what();
    return "";
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace ferry::testing
