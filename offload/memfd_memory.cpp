// The node's memory as memfds that every rank maps.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "offload/node_memory.h"
#include "parallel/shared_memfd.h"

// Linux 5.1; older headers of the C library lack it.
constexpr int kSealFutureWrite = 0x0010;

namespace ferry::offload {

namespace {

constexpr std::size_t kThreads = 8;

// Addresses that nothing is mapped at yet.
std::byte* reserve(std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) throw_errno("cannot reserve addresses of " + std::to_string(bytes) + " bytes");
  return static_cast<std::byte*>(data);
}

class MemfdMemory : public NodeMemory {
 public:
  // Maps the files, of that many bytes each, one behind the other.
  MemfdMemory(std::vector<parallel::OwnedDescriptor> files, const std::vector<std::size_t>& bytes)
      : files_(std::move(files)), bytes_(std::accumulate(bytes.begin(), bytes.end(), std::size_t{0})) {
    data_ = reserve(bytes_);
    std::byte* begin = data_;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      parts_.push_back({begin, bytes[i]});
      begin += bytes[i];
    }
    try {
      for (std::size_t i = 0; i < files_.size(); ++i) map(files_[i].get(), parts_[i]);
    } catch (...) {
      ::munmap(data_, bytes_);
      throw;
    }
    // First touch by 2 MiB pages is four times as fast; a kernel that has none says no, and that is fine.
    ::madvise(data_, bytes_, MADV_HUGEPAGE);
    // A core file of a crash need not hold the weights.
    ::madvise(data_, bytes_, MADV_DONTDUMP);
  }
  MemfdMemory(const MemfdMemory&) = delete;
  MemfdMemory& operator=(const MemfdMemory&) = delete;
  // Whoever lets go of a file last frees its pages, which takes long.
  ~MemfdMemory() override {
    std::atomic<std::size_t> next = 0;
    const auto let_go = [&] {
      for (std::size_t i = next++; i < files_.size(); i = next++) {
        ::munmap(parts_[i].data(), parts_[i].size());
        files_[i] = {};
      }
    };
    std::vector<std::jthread> threads;
    try {
      while (threads.size() + 1 < std::min(kThreads, files_.size())) threads.emplace_back(let_go);
    } catch (const std::system_error&) {  // fewer will do
    }
    let_go();
  }
  MemoryKind kind() const override { return MemoryKind::Memfd; }
  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }
  // Mappings that exist stay writable (page-locking wants that); new ones cannot be.
  void seal() override {
    constexpr int kSize = F_SEAL_SHRINK | F_SEAL_GROW;
    for (const parallel::OwnedDescriptor& file : files_) {
      if (::fcntl(file.get(), F_ADD_SEALS, kSize | kSealFutureWrite) == 0) continue;
      ::fcntl(file.get(), F_ADD_SEALS, kSize);
    }
  }

 private:
  static void map(int file, std::span<std::byte> part) {
    const int flags = MAP_SHARED | MAP_FIXED;
    if (::mmap(part.data(), part.size(), PROT_READ | PROT_WRITE, flags, file, 0) != MAP_FAILED) return;
    throw_errno("cannot map " + std::to_string(part.size()) + " shared bytes");
  }

  std::vector<parallel::OwnedDescriptor> files_;
  std::size_t bytes_;
  std::byte* data_ = nullptr;
  std::vector<std::span<std::byte>> parts_;  // one for each file
};

// Of each file.
std::vector<std::size_t> file_bytes(const MemorySize& size) {
  std::vector<std::size_t> bytes;
  std::size_t begin = 0;
  for (const std::size_t next : size.files) {
    bytes.push_back(next - begin);
    begin = next;
  }
  bytes.push_back(size.bytes - begin);
  return bytes;
}

}  // namespace

std::unique_ptr<NodeMemory> make_memfd_memory(const MemorySize& size, const Peers& node) {
  const std::vector<std::size_t> bytes = file_bytes(size);
  const auto gather = [&](const std::string& words) { return gather_words(node, words); };
  auto files = parallel::share_memfds("ferry-weights", bytes, node.rank, node.size, gather);
  std::unique_ptr<NodeMemory> memory;
  std::string error;
  try {
    memory = std::make_unique<MemfdMemory>(std::move(files), bytes);
  } catch (const SystemError& failed) {
    error = failed.what();
  }
  error = first_error(node, error);
  if (!error.empty()) throw SystemError(error);
  return memory;
}

}  // namespace ferry::offload
