#include "offload/arena/node_memory.h"

#include <sys/mman.h>

#include <array>

#include "base/error.h"
#include "base/log.h"

namespace ferry::offload {

namespace {

class PrivateMemory : public NodeMemory {
 public:
  explicit PrivateMemory(std::size_t bytes) : bytes_(bytes) {
    data_ =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED) throw_errno("cannot map " + std::to_string(bytes_) + " bytes");
    ::madvise(data_, bytes_, MADV_HUGEPAGE);
  }
  PrivateMemory(const PrivateMemory&) = delete;
  PrivateMemory& operator=(const PrivateMemory&) = delete;
  ~PrivateMemory() override { ::munmap(data_, bytes_); }
  MemoryKind kind() const override { return MemoryKind::Private; }
  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const override { return bytes_; }
  void seal() override {}

 private:
  std::size_t bytes_;
  void* data_ = nullptr;
};

void warn_once(const NodeRanks& node, const std::string& text) {
  if (node.peers.rank == 0) spdlog::warn("{}", text);
}

}  // namespace

std::string_view name_of(MemoryKind kind) {
  static constexpr std::array<std::string_view, 3> kNames = {"memfd", "mpi window", "private"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::unique_ptr<NodeMemory> make_private_memory(std::size_t bytes) {
  return std::make_unique<PrivateMemory>(bytes);
}

std::unique_ptr<NodeMemory> make_node_memory(const MemorySize& size, const NodeRanks& node, MemoryKind first,
                                             const std::function<void()>& check_private) {
  if (first == MemoryKind::Memfd) {
    try {
      return make_memfd_memory(size, node.peers);
    } catch (const SystemError& failed) {
      warn_once(node,
                std::string("no shared memory by descriptor (") + failed.what() + "), trying an MPI window");
    }
  }
  if (first != MemoryKind::Private && node.make_window) {
    try {
      return node.make_window(size.bytes);
    } catch (const Error& failed) {
      warn_once(node, std::string("no MPI window either (") + failed.what() + ")");
    }
  }
  if (node.peers.size > 1) {
    warn_once(node, "the ranks of this node share no memory: each keeps its own copy of the weights");
    check_private();
  }
  return make_private_memory(size.bytes);
}

}  // namespace ferry::offload
