#include <cuda_runtime_api.h>

#include <cstring>
#include <utility>
#include <vector>

#include "base/cuda/check.h"
#include "base/cuda/stream_memory.h"
#include "parallel/agree.h"
#include "parallel/node/peer_port.h"

namespace ferry::parallel {

namespace {

// Each flag has 128 bytes to itself.
constexpr std::size_t kFlagWords = 32;
// A device page, the unit that IPC maps.
constexpr std::size_t kFlagsBytes = std::size_t{2} << 20;

class CudaPeerPort final : public PeerPort {
 public:
  CudaPeerPort(Device& device, Control& members)
      : device_(device), rank_(members.rank()), ranks_(members.size()) {}

  Shared share(std::size_t bytes) override {
    Shared shared;
    shared.memory = device_.allocate(bytes);
    cudaIpcMemHandle_t handle = {};
    FERRY_CHECK(cudaIpcGetMemHandle(&handle, shared.memory.data()));
    shared.handle.assign(handle.reserved, sizeof handle.reserved);
    return shared;
  }
  DeviceMemory open(const std::string& handle, std::size_t bytes) override {
    cudaIpcMemHandle_t theirs = {};
    if (handle.size() != sizeof theirs.reserved) throw CudaError("a handle of device memory was cut");
    std::memcpy(theirs.reserved, handle.data(), sizeof theirs.reserved);
    void* data = nullptr;
    FERRY_CHECK(cudaIpcOpenMemHandle(&data, theirs, cudaIpcMemLazyEnablePeerAccess));
    return {data, bytes, [](void* memory) { static_cast<void>(cudaIpcCloseMemHandle(memory)); }};
  }
  void meet(Stream& stream, Signal signal, std::uint32_t value) override {
    std::vector<StreamMemory::Operation> all;
    all.reserve(2 * static_cast<std::size_t>(ranks_ - 1));
    for (int peer = 0; peer < ranks_; ++peer) {
      if (peer != rank_) all.push_back(StreamMemory::write_of(flag(peer, signal, rank_), value));
    }
    for (int peer = 0; peer < ranks_; ++peer) {
      if (peer != rank_) all.push_back(StreamMemory::wait_reached_of(flag(rank_, signal, peer), value));
    }
    operations_.queue(stream, all);
  }
  void close_flags() override { flags_.clear(); }
  void release(std::uint32_t value) override {
    const std::vector<std::uint32_t> all(flag_words(), value);
    const auto stream = device_.make_stream("release", Priority::High);
    stream->copy(own_flags_.data(), all.data(), all.size() * sizeof all[0]);
    stream->synchronize();
  }

  // share_flags, then open_flags: collective; both throw Error.
  std::string share_flags() {
    if (flag_words() * sizeof(std::uint32_t) > kFlagsBytes) throw CudaError("too many ranks share one node");
    Shared shared = share(kFlagsBytes);
    own_flags_ = std::move(shared.memory);
    FERRY_CHECK(cudaMemset(own_flags_.data(), 0, kFlagsBytes));
    FERRY_CHECK(cudaDeviceSynchronize());
    return std::move(shared.handle);
  }
  void open_flags(const std::vector<std::string>& handles) {
    for (int peer = 0; peer < ranks_; ++peer) {
      flags_.push_back(peer == rank_ ? DeviceMemory()
                                     : open(handles[static_cast<std::size_t>(peer)], kFlagsBytes));
    }
  }

 private:
  std::size_t flag_words() const { return 2 * static_cast<std::size_t>(ranks_) * kFlagWords; }
  // Address of a flag of `owner`, the rank that waits for it.
  CUdeviceptr flag(int owner, Signal signal, int from) const {
    const DeviceMemory& memory = owner == rank_ ? own_flags_ : flags_[static_cast<std::size_t>(owner)];
    const auto index =
        static_cast<std::size_t>(signal) * static_cast<std::size_t>(ranks_) + static_cast<std::size_t>(from);
    return reinterpret_cast<CUdeviceptr>(memory.data()) + index * kFlagWords * sizeof(std::uint32_t);
  }
  Device& device_;
  int rank_;
  int ranks_;
  StreamMemory operations_;
  DeviceMemory own_flags_;
  std::vector<DeviceMemory> flags_;  // by rank; this rank's is empty
};

}  // namespace

std::unique_ptr<PeerPort> make_cuda_peer_port(Device& device, Control& members) {
  const Peers peers = peers_of(members);
  std::unique_ptr<CudaPeerPort> port;
  std::string handle;
  fail_together(peers, [&] {
    port = std::make_unique<CudaPeerPort>(device, members);
    handle = port->share_flags();
  });
  const std::vector<std::string> handles = members.all_gather(handle);
  try {
    fail_together(peers, [&] { port->open_flags(handles); });
  } catch (const Error&) {
    port->close_flags();
    members.barrier();
    throw;
  }
  return port;
}

}  // namespace ferry::parallel
