#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/host/memory_use.h"
#include "parallel/node/descriptor.h"
#include "parallel/node/peer_port.h"
#include "parallel/node/shared_memfd.h"
#include "parallel/patience.h"

namespace ferry::parallel {

namespace {

DeviceMemory map(OwnedDescriptor descriptor, std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (data == MAP_FAILED) throw_errno(fmt::format("cannot map {} shared bytes", bytes));
  // The descriptor stays open as long as the mapping, so that peers can open it.
  auto kept = std::make_shared<OwnedDescriptor>(std::move(descriptor));
  return {data, bytes, [kept, bytes](void* memory) { ::munmap(memory, bytes); }};
}

// A number in memory shared by all ranks.
struct alignas(128) Flag {
  std::atomic<std::uint32_t> value;
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(Flag) == 128);

// True when a flag that holds `value` was raised to `wanted`.
bool reached(std::uint32_t value, std::uint32_t wanted) {
  return static_cast<std::int32_t>(value - wanted) >= 0;
}

// Size of the flags of all pairs of ranks.
std::size_t flag_bytes(int ranks) { return static_cast<std::size_t>(2 * ranks * ranks) * sizeof(Flag); }

void wait_for_flag(const Flag& flag, std::uint32_t value, double patience_s) {
  Patience patience(patience_s);
  const Clock::time_point begin = Clock::now();
  while (!reached(flag.value.load(std::memory_order_acquire), value)) {
    if (patience.over())
      throw Error(fmt::format("another rank did not come to an exchange within {} s", patience_s));
    if (seconds_since(begin) < 100e-6) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

class HostPeerPort final : public PeerPort {
 public:
  HostPeerPort(DeviceMemory flags, int rank, int ranks, double patience_s)
      : flags_(std::move(flags)), rank_(rank), ranks_(ranks), patience_s_(patience_s) {}

  Shared share(std::size_t bytes) override {
    // The kernel overcommits, so check for real memory here.
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
  void meet(Stream& stream, Signal signal, std::uint32_t value) override {
    stream.call([this, signal, value] {
      for (int peer = 0; peer < ranks_; ++peer) {
        if (peer != rank_) at(signal, rank_, peer).value.store(value, std::memory_order_release);
      }
      for (int peer = 0; peer < ranks_; ++peer) {
        if (peer != rank_) wait_for_flag(at(signal, peer, rank_), value, patience_s_);
      }
    });
  }
  void close_flags() override {}  // every rank has its own mapping
  void release(std::uint32_t value) override {
    for (int peer = 0; peer < ranks_; ++peer) {
      for (const Signal signal : {Signal::Free, Signal::Landed}) at(signal, peer, rank_).value.store(value);
    }
  }

 private:
  Flag& at(Signal signal, int from, int to) const {
    const int index = (static_cast<int>(signal) * ranks_ + from) * ranks_ + to;
    return reinterpret_cast<Flag*>(flags_.data())[index];
  }
  DeviceMemory flags_;
  int rank_;
  int ranks_;
  double patience_s_;
};

}  // namespace

std::unique_ptr<PeerPort> make_host_peer_port(Control& members, double patience_s) {
  const std::size_t bytes = flag_bytes(members.size());
  std::vector<OwnedDescriptor> memory = share_memfds("ferry-flags", {bytes}, peers_of(members));
  return std::make_unique<HostPeerPort>(map(std::move(memory.front()), bytes), members.rank(), members.size(),
                                        patience_s);
}

}  // namespace ferry::parallel
