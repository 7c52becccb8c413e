#include "base/files/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/handle.h"
#include "base/host/pages.h"

namespace ferry {

namespace {

using Descriptor = Handle<int, ::close, -1>;

[[noreturn]] void refuse(const std::string& path, const char* why) {
  throw UserError(fmt::format("cannot read {}: {}", path, why));
}

Descriptor open_regular(const std::string& path, std::size_t& bytes) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) refuse(path, std::strerror(errno));
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) refuse(path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) refuse(path, "it is a directory, not a file");
  if (!S_ISREG(info.st_mode)) refuse(path, "it is not a regular file");
  bytes = static_cast<std::size_t>(info.st_size);
  return file;
}

struct Pages {
  std::size_t begin = 0;
  std::size_t bytes = 0;
};

// The pages that overlap the range, clipped to the file.
Pages touched_pages(std::size_t offset, std::size_t bytes, std::size_t total) {
  if (offset >= total) return {};
  const std::size_t begin = offset / page_bytes() * page_bytes();
  return {begin, std::min(total, offset + std::min(bytes, total - offset)) - begin};
}

// The pages that lie wholly inside the range.
Pages inner_pages(std::size_t offset, std::size_t bytes, std::size_t total) {
  if (offset >= total) return {};
  const std::size_t page = page_bytes();
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + std::min(bytes, total - offset)) / page * page;
  return end > begin ? Pages{begin, end - begin} : Pages{};
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file = open_regular(path, bytes_);
  if (bytes_ == 0) return;
  void* data = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) refuse(path, std::strerror(errno));
  data_ = static_cast<std::byte*>(data);
  guard_ = MappingGuard(data, bytes_, path);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, bytes_);  // guarded until then
}

void MappedFile::swap(MappedFile& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(guard_, other.guard_);
}

void MappedFile::prefetch(std::size_t offset, std::size_t bytes) const {
  const Pages pages = touched_pages(offset, bytes, bytes_);
  if (pages.bytes > 0) ::madvise(data_ + pages.begin, pages.bytes, MADV_WILLNEED);
}

void MappedFile::drop(std::size_t offset, std::size_t bytes) const {
  const Pages pages = inner_pages(offset, bytes, bytes_);
  if (pages.bytes > 0) ::madvise(data_ + pages.begin, pages.bytes, MADV_DONTNEED);
}

std::string read_file(const std::string& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.data()), file.bytes()};
}

std::uint64_t free_disk_bytes(const std::string& folder) {
  struct statvfs info = {};
  if (::statvfs(folder.c_str(), &info) != 0) throw_errno("cannot read the free space of " + folder);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace ferry
