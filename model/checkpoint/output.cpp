#include "model/checkpoint/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace ferry::model {

namespace {

void write_all(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset,
               const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("cannot write " + path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

}  // namespace

Output::Output(const std::string& path)
    : file_(path), descriptor_(::open(file_.temporary().c_str(), O_WRONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw_errno("cannot write " + path);
}

Output::~Output() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Output::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, position_, file_.path());
  position_ += bytes.size();
}

void Output::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void Output::skip(std::uint64_t bytes) { position_ += bytes; }

void Output::patch(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, offset, file_.path());
}

void Output::finish() {
  // A hole at the end is not there until the size says so.
  if (::ftruncate(descriptor_, static_cast<off_t>(position_)) != 0)
    throw_errno("cannot write " + file_.path());
  file_.commit();
}

}  // namespace ferry::model
