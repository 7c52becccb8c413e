#include "launcher/options/paths.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace ferry::launcher {
namespace {

std::string folder_of(const passwd* user) {
  return user == nullptr || user->pw_dir == nullptr ? "" : user->pw_dir;
}

std::string own_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  const std::string folder = home != nullptr && *home != '\0' ? home : folder_of(getpwuid(getuid()));
  if (folder.empty()) throw UserError(fmt::format("{}: '~' has no meaning here, HOME is not set", path));
  return folder;
}

const char* kind_of(std::filesystem::file_type type) {
  using std::filesystem::file_type;
  switch (type) {
    case file_type::directory:
      return "a folder";
    case file_type::character:
    case file_type::block:
      return "a device";
    case file_type::fifo:
      return "a FIFO";
    case file_type::socket:
      return "a socket";
    default:
      return "of an unknown kind";
  }
}

}  // namespace

std::string expand_home(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string user = path.substr(1, end - 1);
  const std::string home = user.empty() ? own_home(path) : folder_of(getpwnam(user.c_str()));
  return home.empty() ? path : home + path.substr(end);
}

void check_input_file(const std::string& flag, const std::string& path) {
  using std::filesystem::file_type;
  if (path.empty()) throw UserError(flag + ": the path is empty");
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == file_type::not_found) throw UserError(fmt::format("{}: {}: no such file", flag, path));
  if (status.type() == file_type::none)
    throw UserError(fmt::format("{}: {}: {}", flag, path, error.message()));
  if (status.type() != file_type::regular) {
    throw UserError(
        fmt::format("{}: {}: is {}; accepted: a regular file", flag, path, kind_of(status.type())));
  }
  if (access(path.c_str(), R_OK) != 0) throw UserError(fmt::format("{}: {}: cannot be read", flag, path));
}

std::string read_to_end(std::istream& source, const std::string& name, std::size_t most) {
  std::string text;
  std::array<char, 1 << 16> piece;
  while (source && text.size() <= most) {
    source.read(piece.data(), piece.size());
    text.append(piece.data(), static_cast<std::size_t>(source.gcount()));
  }
  if (source.bad() || (source.fail() && !source.eof())) throw UserError(name + ": cannot be read");
  if (text.size() > most) throw UserError(fmt::format("{}: more than {} MB", name, most / 1'000'000));
  return text;
}

}  // namespace ferry::launcher
