#include "worker/output/files.h"

#include <fmt/format.h>

#include <cctype>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/file.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSlugBytes = 48;

bool kept(unsigned char byte) { return byte >= 0x80 || std::isalnum(byte) != 0; }

std::string folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

void check_not_taken(const std::string& path, bool overwrite) {
  std::error_code error;
  if (fs::is_directory(path, error)) throw UserError(fmt::format("output {} is a folder, not a file", path));
  if (!overwrite && fs::exists(path, error)) {
    throw UserError(fmt::format("output {} exists already: choose another name, or say --overwrite", path));
  }
}

}  // namespace

std::string slug_of(std::string_view prompt) {
  std::string slug;
  for (const char c : prompt) {
    const auto byte = static_cast<unsigned char>(c);
    if (kept(byte)) {
      slug += byte < 0x80 ? static_cast<char>(std::tolower(byte)) : c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  if (slug.size() > kMostSlugBytes) {
    std::size_t end = kMostSlugBytes;
    while (end > 0 && (static_cast<unsigned char>(slug[end]) & 0xC0) == 0x80) --end;
    slug.resize(end);
  }
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug.empty() ? "video" : slug;
}

void check_can_write(const std::string& path, bool overwrite) {
  check_writable_folder(folder_of(path));
  check_not_taken(path, overwrite);
}

void check_free_space(const std::string& path, std::uint64_t bytes) {
  const std::uint64_t free = free_disk_bytes(folder_of(path));
  if (free < bytes) {
    throw UserError(fmt::format("output {}: {:.1f} MB free there, up to {:.1f} MB are needed", path,
                                static_cast<double>(free) / 1e6, static_cast<double>(bytes) / 1e6));
  }
}

void publish(const std::string& path, std::string_view bytes, bool overwrite) {
  check_not_taken(path, overwrite);
  write_file(path, bytes);
}

}  // namespace ferry::worker
