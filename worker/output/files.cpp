#include "worker/output/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSlugBytes = 48;

bool kept(unsigned char byte) { return byte >= 0x80 || std::isalnum(byte) != 0; }

fs::path folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

[[noreturn]] void refuse_existing(const std::string& path) {
  throw UserError(fmt::format("{} exists already: choose another name, or say --overwrite", path));
}

// Permission bits do not tell (root, read-only mounts, quotas); making a file does.
bool takes_new_files(const fs::path& folder) {
  std::string probe = (folder / ".ferry-probe-XXXXXX").string();
  const int file = mkstemp(probe.data());
  if (file < 0) return false;
  close(file);
  unlink(probe.c_str());
  return true;
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
  const fs::path folder = folder_of(path);
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw UserError(fmt::format("output {}: {} is not a folder that exists", path, folder.string()));
  }
  if (fs::is_directory(path, error)) throw UserError(fmt::format("output {} is a folder, not a file", path));
  if (fs::exists(path, error) && !overwrite) refuse_existing(path);
  if (!takes_new_files(folder)) {
    throw UserError(fmt::format("output {}: folder {} is not writable", path, folder.string()));
  }
}

void check_free_space(const std::string& path, std::uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder_of(path), error);
  if (!error && space.available < bytes) {
    throw UserError(fmt::format("output {}: {:.1f} MB free there, up to {:.1f} MB are needed", path,
                                static_cast<double>(space.available) / 1e6,
                                static_cast<double>(bytes) / 1e6));
  }
}

PendingFile::PendingFile(std::string final_path, bool overwrite)
    : final_path_(std::move(final_path)), overwrite_(overwrite) {
  const fs::path place(final_path_);
  path_ =
      (folder_of(final_path_) / fmt::format(".{}.{}.partial", place.filename().string(), getpid())).string();
}

PendingFile::~PendingFile() {
  if (!committed_) unlink(path_.c_str());
}

void PendingFile::commit() {
  const int code =
      renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, final_path_.c_str(), overwrite_ ? 0 : RENAME_NOREPLACE);
  if (code != 0 && errno == EEXIST) refuse_existing(final_path_);
  // Some network file systems know no RENAME_NOREPLACE.
  if (code != 0 && errno == EINVAL && !fs::exists(final_path_)) {
    if (rename(path_.c_str(), final_path_.c_str()) != 0) throw_errno("rename to " + final_path_);
  } else if (code != 0) {
    throw_errno("rename to " + final_path_);
  }
  committed_ = true;
}

void write_file(const std::string& path, std::string_view bytes, bool overwrite) {
  PendingFile file(path, overwrite);
  std::ofstream out(file.path(), std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw_errno("writing " + file.path());
  file.commit();
}

}  // namespace ferry::worker
