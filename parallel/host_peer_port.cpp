#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory_use.h"
#include "parallel/descriptor.h"
#include "parallel/patience.h"
#include "parallel/peer_port.h"

namespace ferry::parallel {

namespace {

DeviceMemory map(OwnedDescriptor descriptor, std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (data == MAP_FAILED) throw_errno(fmt::format("cannot map {} shared bytes", bytes));
  // The descriptor stays open as long as the mapping, so that others can open it.
  auto kept = std::make_shared<OwnedDescriptor>(std::move(descriptor));
  return {data, bytes, [kept, bytes](void* memory) { ::munmap(memory, bytes); }};
}

void wait_for_flag(const Flag& flag, std::uint32_t value, double deadline_s) {
  Patience patience(deadline_s);
  const Clock::time_point begin = Clock::now();
  while (!reached(flag.value.load(std::memory_order_acquire), value)) {
    if (patience.over())
      throw Error(fmt::format("another rank did not come to an exchange within {} s", deadline_s));
    if (seconds_since(begin) < 100e-6) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

class HostPeerPort final : public PeerPort {
 public:
  explicit HostPeerPort(double deadline_s) : deadline_s_(deadline_s) {}

  Shared share(std::size_t bytes) override {
    // The system promises more than it has.
    const std::uint64_t free_bytes = host_memory().available_bytes;
    if (bytes > free_bytes) {
      throw OutOfMemory(
          fmt::format("cannot share {} bytes of host memory: {} bytes are free", bytes, free_bytes));
    }
    OwnedDescriptor made(::memfd_create("ferry-exchange", MFD_CLOEXEC));
    if (!made) throw_errno("memfd_create");
    if (::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) throw_errno("ftruncate of shared memory");
    std::string handle = fmt::format("/proc/{}/fd/{}", ::getpid(), made.get());
    return {map(std::move(made), bytes), std::move(handle)};
  }
  DeviceMemory open(const std::string& handle, std::size_t bytes) override {
    OwnedDescriptor opened(::open(handle.c_str(), O_RDWR | O_CLOEXEC));
    if (!opened) throw_errno("cannot open " + handle);
    return map(std::move(opened), bytes);
  }
  void raise(Stream& stream, Flag& flag, std::uint32_t value) override {
    stream.call([&flag, value] { flag.value.store(value, std::memory_order_release); });
  }
  void await(Stream& stream, const Flag& flag, std::uint32_t value) override {
    stream.call([&flag, value, limit = deadline_s_] { wait_for_flag(flag, value, limit); });
  }

 private:
  double deadline_s_;
};

}  // namespace

std::unique_ptr<PeerPort> make_host_peer_port(double deadline_s) {
  return std::make_unique<HostPeerPort>(deadline_s);
}

}  // namespace ferry::parallel
