// The node's memory as a memfd that every rank maps.
#include <fcntl.h>
#include <sys/mman.h>

#include <utility>

#include "base/error.h"
#include "offload/node_memory.h"
#include "parallel/shared_memfd.h"

// Linux 5.1; older headers of the C library lack it.
constexpr int kSealFutureWrite = 0x0010;

namespace ferry::offload {

namespace {

class MemfdMemory : public NodeMemory {
 public:
  MemfdMemory(parallel::OwnedDescriptor descriptor, std::size_t bytes)
      : descriptor_(std::move(descriptor)), bytes_(bytes) {
    data_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
    if (data_ == MAP_FAILED) throw_errno("cannot map " + std::to_string(bytes_) + " shared bytes");
    // First touch by 2 MiB pages is four times as fast; a kernel that has none says no, and that is fine.
    ::madvise(data_, bytes_, MADV_HUGEPAGE);
    // A core file of a crash need not hold the weights.
    ::madvise(data_, bytes_, MADV_DONTDUMP);
  }
  MemfdMemory(const MemfdMemory&) = delete;
  MemfdMemory& operator=(const MemfdMemory&) = delete;
  ~MemfdMemory() override { ::munmap(data_, bytes_); }
  MemoryKind kind() const override { return MemoryKind::Memfd; }
  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const override { return bytes_; }
  // Mappings that exist stay writable (page-locking wants that); new ones cannot be.
  void seal() override {
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | kSealFutureWrite;
    if (::fcntl(descriptor_.get(), F_ADD_SEALS, seals) == 0) return;
    ::fcntl(descriptor_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  }

 private:
  parallel::OwnedDescriptor descriptor_;
  std::size_t bytes_;
  void* data_ = nullptr;
};

}  // namespace

std::unique_ptr<NodeMemory> make_memfd_memory(std::size_t bytes, const Peers& node) {
  const auto gather = [&](const std::string& words) { return gather_words(node, words); };
  auto descriptor = parallel::share_memfd("ferry-weights", bytes, node.rank, node.size, gather);
  std::unique_ptr<NodeMemory> memory;
  std::string error;
  try {
    memory = std::make_unique<MemfdMemory>(std::move(descriptor), bytes);
  } catch (const SystemError& failed) {
    error = failed.what();
  }
  error = first_error(node, error);
  if (!error.empty()) throw SystemError(error);
  return memory;
}

}  // namespace ferry::offload
