#include "worker/output/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/folder_of.h"
#include "base/files/pending_file.h"
#include "base/text/lower.h"
#include "base/text/shown.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSlugBytes = 48;

std::string in_message(const std::string& path) { return shown(path, std::string::npos); }

bool kept(unsigned char byte) { return byte >= 0x80 || std::isalnum(byte) != 0; }

}  // namespace

std::string slug_of(std::string_view prompt) {
  std::string slug;
  for (const char c : prompt) {
    if (kept(static_cast<unsigned char>(c))) {
      slug += lower(c);
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  slug = first_characters(slug, kMostSlugBytes);
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug.empty() ? "video" : slug;
}

std::string first_characters(const std::string& text, std::size_t bytes) {
  std::size_t end = std::min(bytes, text.size());
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::size_t longest_name(const std::string& path) {
  const long longest = ::pathconf(folder_of(path).c_str(), _PC_NAME_MAX);
  return longest > 0 ? static_cast<std::size_t>(longest) : 255;
}

void check_can_write(const std::string& path, bool overwrite) {
  check_writable_folder(folder_of(path));
  check_not_taken(path, overwrite);
}

void check_not_taken(const std::string& path, bool overwrite) {
  const std::string name = fs::path(path).filename().string();
  if (name.size() > longest_name(path)) {
    throw UserError(fmt::format("output {}: the name has {} bytes; names here have at most {}",
                                in_message(path), name.size(), longest_name(path)));
  }
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    throw UserError(fmt::format("output {}: {}", in_message(path), std::strerror(errno)));
  }
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::directory)
    throw UserError(fmt::format("output {} is a folder, not a file", in_message(path)));
  // A dangling link may be replaced; a device, FIFO or socket would become a file.
  if (type != fs::file_type::regular && type != fs::file_type::not_found) {
    throw UserError(
        fmt::format("output {} is not a regular file: a device, FIFO or socket", in_message(path)));
  }
  if (!overwrite) {
    throw UserError(
        fmt::format("output {} exists already: choose another name, or say --overwrite", in_message(path)));
  }
}

void check_name(const std::string& path, PendingFile::Form form) {
  const PendingFile probe(path, form);
  if (probe.temporary().empty()) return;
  const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (file >= 0) {
    ::close(file);
    ::unlink(path.c_str());
  } else if (errno != EEXIST) {
    throw UserError(fmt::format("output {}: no file can have this name there: {}", in_message(path),
                                std::strerror(errno)));
  }
}

void check_free_space(const std::string& path, std::uint64_t bytes) {
  const std::uint64_t free = free_disk_bytes(folder_of(path));
  if (free < bytes) {
    throw UserError(fmt::format("output {}: {:.1f} MB free there, up to {:.1f} MB are needed",
                                in_message(path), static_cast<double>(free) / 1e6,
                                static_cast<double>(bytes) / 1e6));
  }
}

void publish(const std::string& path, std::string_view bytes, bool overwrite) {
  write_file(path, bytes, if_taken(overwrite));
}

}  // namespace ferry::worker
