#include "launcher/sweep/sweep_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files/fingerprint.h"
#include "base/log.h"
#include "base/text/shown.h"

namespace ferry::launcher {
namespace {

constexpr std::string_view kRowBegins = "{\"cell\":";
constexpr std::size_t kHashDigits = 15;  // of 4 bits: an offset that every file system takes

enum class Wait : std::uint8_t { No, Yes };

struct flock region(short type, std::int64_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// False if another open file description holds the byte.
bool lock_byte(int file, std::int64_t byte, Wait wait) {
  struct flock lock = region(F_WRLCK, byte);
  while (::fcntl(file, wait == Wait::Yes ? F_OFD_SETLKW : F_OFD_SETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    if (wait == Wait::No && (errno == EAGAIN || errno == EACCES)) return false;
    throw_errno("cannot lock the file of the sweep");
  }
  return true;
}

void unlock_byte(int file, std::int64_t byte) {
  struct flock lock = region(F_UNLCK, byte);
  ::fcntl(file, F_OFD_SETLK, &lock);
}

// Byte 0, while it exists.
class Appending {
 public:
  explicit Appending(int lock) : lock_(lock) { lock_byte(lock_, 0, Wait::Yes); }
  ~Appending() { unlock_byte(lock_, 0); }
  Appending(const Appending&) = delete;
  Appending& operator=(const Appending&) = delete;

 private:
  int lock_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw UserError(fmt::format("--out: {}: {}", shown(path, std::string::npos), why));
}

int opened(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    refuse(path, S_ISDIR(info.st_mode) ? "is a folder" : "is no regular file");
  const int file = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) refuse(path, std::strerror(errno));
  return file;
}

// Only asks whether there are locks: another process may hold the byte.
void refuse_without_locks(const std::string& path, int lock) {
  struct flock probe = region(F_WRLCK, 0);
  if (::fcntl(lock, F_OFD_GETLK, &probe) == 0) {
    probe = region(F_WRLCK, 0);
    if (::fcntl(lock, F_OFD_SETLK, &probe) == 0) return unlock_byte(lock, 0);
    if (errno == EAGAIN || errno == EACCES) return;
  }
  refuse(path, fmt::format("its file system has no locks ({}), by which several jobs share a file; "
                           "accepted: a file on another one",
                           std::strerror(errno)));
}

std::string read_from(int file, std::uint64_t offset) {
  std::string text;
  std::string piece(1 << 16, '\0');
  while (true) {
    const ssize_t got = ::pread(file, piece.data(), piece.size(), static_cast<off_t>(offset + text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("cannot read the file of the sweep");
    if (got == 0) return text;
    text.append(piece, 0, static_cast<std::size_t>(got));
  }
}

// The name of a row's cell; empty if it is no row.
std::string cell_of(std::string_view line) {
  const auto row = nlohmann::json::parse(line, nullptr, false);
  if (!row.is_object()) return "";
  const auto cell = row.find("cell");
  const auto step = row.find("step_s");
  const auto error = row.find("error");
  const bool measured = step != row.end() && step->is_number();
  const bool failed = error != row.end() && error->is_string();
  if (cell == row.end() || !cell->is_string() || measured == failed) return "";
  return cell->get<std::string>();
}

bool may_be_torn(std::string_view line) {
  const std::size_t known = std::min(line.size(), kRowBegins.size());
  return line.find('\0') != std::string_view::npos || line.substr(0, known) == kRowBegins.substr(0, known);
}

}  // namespace

std::int64_t byte_of(const std::string& cell) {
  return 1 + std::stoll(fingerprint(cell).substr(0, kHashDigits), nullptr, 16);
}

SweepFile::Claim::Claim(Claim&& other) noexcept : lock_(std::exchange(other.lock_, -1)), byte_(other.byte_) {}

SweepFile::Claim& SweepFile::Claim::operator=(Claim&& other) noexcept {
  std::swap(lock_, other.lock_);
  std::swap(byte_, other.byte_);
  return *this;
}

SweepFile::Claim::~Claim() {
  if (lock_ >= 0) unlock_byte(lock_, byte_);
}

SweepFile::SweepFile(std::string path) : path_(std::move(path)) {
  const Descriptor file(opened(path_));
  take_new_rows(file.get());
  const std::string rest = read_from(file.get(), read_);
  if (!may_be_torn(rest)) refuse(path_, fmt::format("line {} is no row of a sweep", lines_ + 1));
  lock_ = Descriptor(opened(path_ + ".lock"));
  refuse_without_locks(path_, lock_.get());
}

void SweepFile::take_new_rows() {
  const Descriptor file(opened(path_));
  take_new_rows(file.get());
}

void SweepFile::take_new_rows(int file) {
  const std::string text = read_from(file, read_);
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    take(std::string_view(text).substr(begin, end - begin), ++lines_);
  }
  read_ += begin;
}

void SweepFile::take(std::string_view line, std::size_t number) {
  if (line.empty()) return;
  std::string cell = cell_of(line);
  if (!cell.empty()) {
    if (cells_.insert(std::move(cell)).second) rows_.emplace_back(line);
    return;
  }
  if (!may_be_torn(line)) refuse(path_, fmt::format("line {} is no row of a sweep", number));
  spdlog::warn("{}: line {} is torn and counts for nothing", path_, number);
}

std::optional<SweepFile::Claim> SweepFile::claim(const std::string& cell) {
  if (knows(cell)) return {};
  if (!lock_byte(lock_.get(), byte_of(cell), Wait::No)) return {};
  Claim claim(lock_.get(), byte_of(cell));
  // Its row may have come since the last look.
  take_new_rows();
  if (knows(cell)) return {};
  return claim;
}

const std::vector<std::string>& SweepFile::rows() {
  take_new_rows();
  return rows_;
}

// What does not end in a line.  Byte 0 is locked.
void SweepFile::cut_torn_end(int file) {
  take_new_rows(file);
  const std::string rest = read_from(file, read_);
  if (!rest.empty() && ::ftruncate(file, static_cast<off_t>(read_)) != 0)
    throw_errno("cannot cut off the torn end of " + path_);
}

void SweepFile::append(const std::string& row) {
  const Appending only(lock_.get());
  const Descriptor file(opened(path_));
  cut_torn_end(file.get());
  const std::string line = row + "\n";
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t more = ::write(file.get(), line.data() + written, line.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) {
      const int reason = errno;
      // Where this fails too, a torn end stays, which the next append cuts.
      [[maybe_unused]] const int cut = ::ftruncate(file.get(), static_cast<off_t>(read_));
      errno = reason;
      throw_errno("cannot write " + path_);
    }
    written += static_cast<std::size_t>(more);
  }
  if (::fdatasync(file.get()) != 0 && errno != EINVAL) throw_errno("cannot write " + path_);
  take_new_rows(file.get());
}

}  // namespace ferry::launcher
