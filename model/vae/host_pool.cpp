// A large block lies in one address range, reserved with the size of the host's memory; only pages written
// once are backed by memory.  Small blocks are LibTorch's.  Both begin with a header:
//
//   [ Header, 256 bytes ][ the tensor's bytes ]
//
// The header is found from the tensor's address, since LibTorch's scratch memory for oneDNN is freed by
// address.
#include "model/vae/host_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "base/error.h"
#include "base/host/pages.h"

namespace ferry::model::vae {

namespace {

constexpr std::size_t kLarge = std::size_t{1} << 20;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kHeader = 256;

// Returns nullptr if the process may not reserve that much.
std::byte* reserve(std::size_t bytes) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  static_cast<void>(::madvise(base, bytes, MADV_HUGEPAGE));  // a hint only
  return static_cast<std::byte*>(base);
}

std::size_t machine_memory() { return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * page_bytes(); }

}  // namespace

// LibTorch's allocator while the pool exists.  Every block in use keeps it alive: a tensor may later ask its
// allocator for more memory.
class HostPool::Blocks final : public c10::Allocator, public std::enable_shared_from_this<Blocks> {
 public:
  explicit Blocks(c10::Allocator* small) : small_(small), bytes_(machine_memory()), base_(reserve(bytes_)) {
    if (base_ != nullptr) idle_.emplace(0, bytes_);
  }
  ~Blocks() override {
    if (base_ != nullptr) static_cast<void>(::munmap(base_, bytes_));
  }
  bool usable() const { return base_ != nullptr; }

  c10::DataPtr allocate(std::size_t bytes) override {
    const std::size_t whole = bytes + kHeader;
    Header header{shared_from_this(), bytes < kLarge ? 0 : (whole + kPage - 1) / kPage * kPage};
    void* block = header.bytes == 0 ? small_->raw_allocate(whole) : take(header.bytes);
    new (block) Header(std::move(header));
    void* data = static_cast<std::byte*>(block) + kHeader;
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* dest, const void* src, std::size_t count) const override {
    std::memcpy(dest, src, count);
  }

  // Returns idle memory to the system, now and in future.
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    for (const auto& [offset, bytes] : idle_) drop(base_ + offset, bytes);
  }

 private:
  struct Header {
    std::shared_ptr<Blocks> owner;
    std::size_t bytes = 0;  // bytes of a large block; 0: a small block
  };
  static_assert(sizeof(Header) <= kHeader);

  static void drop(std::byte* data, std::size_t bytes) {
    static_cast<void>(::madvise(data, bytes, MADV_DONTNEED));
  }

  static void release(void* data) {
    std::byte* block = static_cast<std::byte*>(data) - kHeader;
    auto* in_block = reinterpret_cast<Header*>(block);
    const Header header = std::move(*in_block);
    in_block->~Header();
    if (header.bytes == 0) return header.owner->small_->raw_deallocate(block);
    header.owner->give_back(block, header.bytes);
  }

  // Reports to LibTorch's profiler, as its own allocator does.
  static void tell(void* block, std::int64_t bytes) {
    c10::reportMemoryUsageToProfiler(block, bytes, 0, 0, c10::Device(c10::kCPU));
  }

  // Takes the lowest gap that fits, so that the same pages are reused.
  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(idle_.begin(), idle_.end(), [&](const auto& gap) { return gap.second >= bytes; });
    if (found == idle_.end())
      throw OutOfMemory("no room for " + std::to_string(bytes) + " bytes in the host pool");
    const auto [offset, gap] = *found;
    idle_.erase(found);
    if (gap > bytes) idle_.emplace(offset + bytes, gap - bytes);
    tell(base_ + offset, static_cast<std::int64_t>(bytes));
    return base_ + offset;
  }

  void give_back(std::byte* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!open_) drop(block, bytes);
    tell(block, -static_cast<std::int64_t>(bytes));
    const auto place = idle_.emplace(static_cast<std::size_t>(block - base_), bytes).first;
    merge(place);
    if (place != idle_.begin()) merge(std::prev(place));
  }

  // Merges a gap with the next one if adjacent.
  void merge(std::map<std::size_t, std::size_t>::iterator gap) {
    const auto next = std::next(gap);
    if (next == idle_.end() || gap->first + gap->second != next->first) return;
    gap->second += next->second;
    idle_.erase(next);
  }

  c10::Allocator* small_;
  std::size_t bytes_;
  std::byte* base_;
  std::mutex mutex_;
  std::map<std::size_t, std::size_t> idle_;  // offset to bytes
  bool open_ = true;
};

HostPool::HostPool() : previous_(c10::GetAllocator(c10::kCPU)) {
  if (dynamic_cast<Blocks*>(previous_) != nullptr) return;
  const auto blocks = std::make_shared<Blocks>(previous_);
  if (!blocks->usable()) return;
  c10::SetAllocator(c10::kCPU, blocks.get());
  blocks_ = blocks;
}

HostPool::~HostPool() {
  if (blocks_ == nullptr) return;
  c10::SetAllocator(c10::kCPU, previous_);
  blocks_->close();
}

}  // namespace ferry::model::vae
