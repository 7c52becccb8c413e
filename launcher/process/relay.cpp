#include "launcher/process/relay.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace ferry::launcher {
namespace {

constexpr std::size_t kChunkBytes = 64 << 10;

// Returns false if the reader is gone.
bool write_all(int to, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(to, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {  // another process made the stream non-blocking
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (written <= 0) return false;
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

// Returns true if there was any output.
bool copy(int from, int to) {
  std::array<char, kChunkBytes> buffer;
  bool wanted = true;
  bool any = false;
  while (true) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    any = true;
    wanted = wanted && write_all(to, buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(from);
  return any;
}

}  // namespace

Relay::Relay(int to) : to_(to) {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  output_ = ends[0];
  input_ = ends[1];
}

Relay::~Relay() {
  if (input_ >= 0) ::close(input_);
  if (!thread_.joinable() && output_ >= 0) ::close(output_);
  if (thread_.joinable()) thread_.detach();
}

void Relay::start() {
  ::close(std::exchange(input_, -1));
  std::promise<bool> done;
  done_ = done.get_future();
  thread_ = std::thread([from = std::exchange(output_, -1), to = to_, done = std::move(done)]() mutable {
    done.set_value(copy(from, to));
  });
}

bool Relay::finish(double seconds) {
  const bool waits = seconds < 0;
  if (!waits && done_.wait_for(std::chrono::duration<double>(seconds)) != std::future_status::ready)
    return true;
  thread_.join();
  return done_.get();
}

}  // namespace ferry::launcher
