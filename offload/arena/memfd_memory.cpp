// Node memory as memfds mapped by every rank.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/host/pages.h"
#include "offload/arena/host_threads.h"
#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"
#include "parallel/agree.h"
#include "parallel/node/descriptor.h"
#include "parallel/node/shared_memfd.h"

// Linux 5.1; missing from older C library headers.
constexpr int kSealFutureWrite = 0x0010;

namespace ferry::offload {

namespace {

static_assert(kMostBorders < parallel::kMostDescriptors);

// Reserves an unmapped address range aligned to 2 MiB pages.
std::byte* reserve(std::size_t bytes) {
  const std::size_t more = bytes + kHugePage;
  void* data = ::mmap(nullptr, more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) throw_errno("cannot reserve addresses of " + std::to_string(more) + " bytes");
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::size_t before = round_up(begin, kHugePage) - begin;
  if (before > 0) ::munmap(data, before);
  const std::size_t end = round_up(before + bytes, page_bytes());
  ::munmap(static_cast<std::byte*>(data) + end, more - end);
  return static_cast<std::byte*>(data) + before;
}

// A file and its place in the mapping.
//
//   memory    |<- 2 MiB ->|<- 2 MiB ->|      2 MiB pages need equal alignment in both: the file begins with
//   file            | skip | part ...        bytes that are never touched, which take no memory
struct Part {
  std::size_t begin = 0;  // in the memory
  std::size_t bytes = 0;
  std::size_t skip() const { return begin % kHugePage; }
};

std::vector<Part> parts_of(const MemorySize& size) {
  std::vector<Part> parts;
  std::size_t begin = 0;
  for (const std::size_t next : size.files) {
    if (next % page_bytes() != 0) continue;  // on hosts with larger pages than most
    parts.push_back({begin, next - begin});
    begin = next;
  }
  parts.push_back({begin, size.bytes - begin});
  return parts;
}

class MemfdMemory : public NodeMemory {
 public:
  // `ranks` processes have it mapped and will unmap it at about the same time.
  MemfdMemory(std::vector<parallel::OwnedDescriptor> files, std::vector<Part> parts, int ranks)
      : files_(std::move(files)),
        parts_(std::move(parts)),
        bytes_(parts_.back().begin + parts_.back().bytes),
        ranks_(ranks),
        data_(reserve(bytes_)) {
    try {
      for (std::size_t i = 0; i < files_.size(); ++i) map(files_[i].get(), parts_[i]);
    } catch (...) {
      ::munmap(data_, bytes_);
      throw;
    }
    // First touch by 2 MiB pages is four times as fast; failure is harmless.
    ::madvise(data_, bytes_, MADV_HUGEPAGE);
    // Keeps the weights out of core dumps.
    ::madvise(data_, bytes_, MADV_DONTDUMP);
  }
  MemfdMemory(const MemfdMemory&) = delete;
  MemfdMemory& operator=(const MemfdMemory&) = delete;
  // The last rank to unmap a file frees its pages, which is slow, so use threads.
  ~MemfdMemory() override {
    std::atomic<std::size_t> next = 0;
    const auto let_go = [&] {
      for (std::size_t i = next++; i < files_.size(); i = next++) {
        ::munmap(data_ + parts_[i].begin, parts_[i].bytes);
        files_[i] = {};
      }
    };
    std::vector<std::jthread> others;
    try {
      while (others.size() + 1 < threads()) others.emplace_back(let_go);
    } catch (const std::system_error&) {  // fewer threads suffice
    }
    let_go();
  }
  MemoryKind kind() const override { return MemoryKind::Memfd; }
  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }
  // Existing mappings stay writable (needed for page-locking); new ones cannot be writable.
  void seal() override {
    constexpr int kSize = F_SEAL_SHRINK | F_SEAL_GROW;
    for (const parallel::OwnedDescriptor& file : files_) {
      if (::fcntl(file.get(), F_ADD_SEALS, kSize | kSealFutureWrite) == 0) continue;
      ::fcntl(file.get(), F_ADD_SEALS, kSize);
    }
  }

 private:
  void map(int file, const Part& part) {
    const int flags = MAP_SHARED | MAP_FIXED;
    const auto skip = static_cast<off_t>(part.skip());
    void* at = data_ + part.begin;
    if (::mmap(at, part.bytes, PROT_READ | PROT_WRITE, flags, file, skip) != MAP_FAILED) return;
    throw_errno("cannot map " + std::to_string(part.bytes) + " shared bytes");
  }
  std::size_t threads() const {
    return std::min(files_.size(), static_cast<std::size_t>(host_threads(ranks_)));
  }

  std::vector<parallel::OwnedDescriptor> files_;
  std::vector<Part> parts_;  // one per file
  std::size_t bytes_;
  int ranks_;
  std::byte* data_;
};

}  // namespace

std::unique_ptr<NodeMemory> make_memfd_memory(const MemorySize& size, const parallel::Peers& node) {
  const std::vector<Part> parts = parts_of(size);
  std::vector<std::size_t> bytes;
  for (const Part& part : parts) bytes.push_back(part.skip() + part.bytes);
  auto files = parallel::share_memfds("ferry-weights", bytes, node);
  std::unique_ptr<NodeMemory> memory;
  parallel::fail_together(
      node, [&] { memory = std::make_unique<MemfdMemory>(std::move(files), parts, node.size); });
  return memory;
}

}  // namespace ferry::offload
