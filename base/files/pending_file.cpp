#include "base/files/pending_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <random>
#include <vector>

#include "base/files/fingerprint.h"
#include "base/files/folder_of.h"

namespace ferry {

namespace {

namespace fs = std::filesystem;

using Descriptor = Handle<int, ::close, -1>;

constexpr std::string_view kPrefix = ".ferry-";
constexpr std::string_view kSuffix = ".part";
constexpr std::size_t kHostDigits = 8;
constexpr std::size_t kRandomDigits = 16;
constexpr time_t kUntouched_s = 24L * 60 * 60;

std::string host_digits() {
  char host[256] = {};
  ::gethostname(host, sizeof(host) - 1);
  return fingerprint(host).substr(0, kHostDigits);
}

// Short enough to be valid wherever the final name is.
std::string temporary_name() {
  std::random_device draw;
  const std::uint64_t random = (std::uint64_t{draw()} << 32U) | draw();
  return fmt::format("{}{}-{:016x}{}", kPrefix, host_digits(), random, kSuffix);
}

void copy(int from, int to) {
  std::vector<std::byte> buffer(1 << 20);
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(from, buffer.data(), buffer.size(), offset);
    if (got < 0) throw_errno("cannot read a temporary file");
    if (got == 0) return;
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(got - done), offset);
      if (put < 0) throw_errno("cannot copy a temporary file");
      done += put;
      offset += put;
    }
  }
}

bool of_another_host(std::string_view name) {
  return name.substr(kPrefix.size(), kHostDigits) != host_digits();
}

void remove_if_stale(int folder, const std::string& name) {
  const Descriptor file(::openat(folder, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info = {};
  if (!file || ::fstat(file.get(), &info) != 0) return;
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || info.st_nlink != 1) return;
  if (of_another_host(name) && info.st_mtime > std::time(nullptr) - kUntouched_s) return;
  // Names are never reused: under the lock it is this file, or gone.
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(folder, name.c_str(), 0);
}

}  // namespace

FileError::FileError(const std::string& path, int code)
    : SystemError(fmt::format("cannot write {}: {}", path, std::strerror(code))), code_(code) {}

PendingFile::PendingFile(std::string path, Form form)
    : path_(std::move(path)),
      name_(fs::path(path_).filename().string()),
      folder_(::open(folder_of(path_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!folder_) fail(errno);
  if (form == Form::Best) {
    file_ = Descriptor(::openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
  }
  if (!file_) open_named();
}

PendingFile::~PendingFile() {
  if (!temporary_.empty()) ::unlinkat(folder_.get(), temporary_.c_str(), 0);
}

void PendingFile::fail(int code) const { throw FileError(path_, code); }

void PendingFile::open_named() {
  for (;;) {
    const std::string name = temporary_name();
    Descriptor file(::openat(folder_.get(), name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666));
    if (!file && errno == EEXIST) continue;
    if (!file) fail(errno);
    // On a file system without locks, remove_if_stale() cannot lock the file either and leaves it.
    ::flock(file.get(), LOCK_EX);
    struct stat info = {};
    if (::fstat(file.get(), &info) != 0) fail(errno);
    if (info.st_nlink == 0) continue;  // removed as stale before it was locked
    temporary_ = name;
    file_ = std::move(file);
    return;
  }
}

void PendingFile::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void PendingFile::resize(std::uint64_t bytes) {
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) fail(errno);
}

void PendingFile::flush() {
  if (::fsync(file_.get()) != 0) fail(errno);
}

// Through /proc, which unlike AT_EMPTY_PATH needs no capability.
bool PendingFile::link_as(const std::string& name) const {
  const std::string self = fmt::format("/proc/self/fd/{}", file_.get());
  return ::linkat(AT_FDCWD, self.c_str(), folder_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

void PendingFile::take_temporary_name() {
  ::flock(file_.get(), LOCK_EX);
  const std::string name = temporary_name();
  if (link_as(name)) {
    temporary_ = name;
    return;
  }
  // No /proc, or links are forbidden: copy into a named file.
  const Descriptor unnamed = std::move(file_);
  open_named();
  copy(unnamed.get(), file_.get());
  flush();
}

void PendingFile::rename_temporary(IfTaken if_taken) {
  const int folder = folder_.get();
  const char* from = temporary_.c_str();
  const char* to = name_.c_str();
  bool replace = if_taken == IfTaken::Replace;
  if (!replace) {
    if (::renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0) return;
    if (errno == EEXIST) fail(EEXIST);
    // The file system lacks RENAME_NOREPLACE: a hard link decides; without links, an empty file claims the
    // name.
    if (::linkat(folder, from, folder, to, 0) == 0) {
      ::unlinkat(folder, from, 0);
      return;
    }
    if (errno == EEXIST) fail(EEXIST);
    const Descriptor held(::openat(folder, to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
    if (!held) fail(errno);
  }
  if (::renameat(folder, from, folder, to) != 0) fail(errno);
}

void PendingFile::commit(IfTaken if_taken) {
  flush();
  if (temporary_.empty() && !link_as(name_)) {
    if (errno == EEXIST && if_taken == IfTaken::Refuse) fail(EEXIST);
    take_temporary_name();
  }
  if (!temporary_.empty()) rename_temporary(if_taken);
  temporary_.clear();
  // Makes the name survive a power failure where folders can be flushed; the file exists in any case.
  const Descriptor folder(::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());
}

void write_file(const std::string& path, std::string_view content, IfTaken if_taken) {
  PendingFile file(path);
  file.write(std::as_bytes(std::span(content.data(), content.size())), 0);
  file.commit(if_taken);
}

bool is_temporary_name(std::string_view name) {
  constexpr std::size_t kDash = kPrefix.size() + kHostDigits;
  if (name.size() != kDash + 1 + kRandomDigits + kSuffix.size()) return false;
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) || name[kDash] != '-') return false;
  std::string digits(name.substr(kPrefix.size(), kHostDigits));
  digits += name.substr(kDash + 1, kRandomDigits);
  return digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void remove_stale_temporaries(const std::string& folder) {
  const Descriptor opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (is_temporary_name(name)) remove_if_stale(opened.get(), name);
  }
}

void check_writable_folder(const std::string& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) {
    throw UserError(fmt::format("the folder {} does not exist; make it first", folder));
  }
  if (error) throw UserError(fmt::format("the folder {} cannot be used: {}", folder, error.message()));
  if (status.type() != fs::file_type::directory) throw UserError(fmt::format("{} is not a folder", folder));
  remove_stale_temporaries(folder);
  try {
    const PendingFile probe((fs::path(folder) / "probe").string());
  } catch (const FileError& failed) {
    throw UserError(
        fmt::format("the folder {} takes no new files: {}", folder, std::strerror(failed.code())));
  }
}

}  // namespace ferry
