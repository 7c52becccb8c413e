// A block, large (mapped) or small (LibTorch's):
//
//   [ Header, 256 bytes ][ the tensor's bytes ]
//
// The tensor's address alone leads to the header, since LibTorch's scratch memory for oneDNN is freed by
// address.
#include "model/vae/host_pool.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "base/error.h"

namespace ferry::model::vae {

namespace {

constexpr std::size_t kLarge = std::size_t{1} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kHeader = 256;

void* map_pages(std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw OutOfMemory("no " + std::to_string(bytes) + " bytes of host memory left");
  static_cast<void>(::madvise(data, bytes, MADV_HUGEPAGE));  // a wish only
  return data;
}

}  // namespace

// LibTorch's allocator while the pool lives.  Every block in use keeps it alive: a tensor may ask its
// allocator for more memory later.
class HostPool::Blocks final : public c10::Allocator, public std::enable_shared_from_this<Blocks> {
 public:
  explicit Blocks(c10::Allocator* small) : small_(small) {}
  ~Blocks() override { drop_idle(); }

  c10::DataPtr allocate(std::size_t bytes) override {
    const std::size_t whole = bytes + kHeader;
    Header header{shared_from_this(), bytes < kLarge ? 0 : (whole + kHugePage - 1) / kHugePage * kHugePage};
    void* base = header.mapped == 0 ? small_->raw_allocate(whole) : take(header.mapped);
    new (base) Header(std::move(header));
    void* data = static_cast<std::byte*>(base) + kHeader;
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* dest, const void* src, std::size_t count) const override {
    std::memcpy(dest, src, count);
  }

  // From now on freed blocks go back to the system at once.
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    drop_idle();
  }

 private:
  struct Header {
    std::shared_ptr<Blocks> owner;
    std::size_t mapped = 0;  // bytes of the block; 0: a small one
  };
  static_assert(sizeof(Header) <= kHeader);

  static void release(void* data) {
    void* base = static_cast<std::byte*>(data) - kHeader;
    auto* in_block = static_cast<Header*>(base);
    const Header header = std::move(*in_block);
    in_block->~Header();
    if (header.mapped == 0) return header.owner->small_->raw_deallocate(base);
    header.owner->give_back(base, header.mapped);
  }

  // `bytes` becomes those of the block, which may be larger.
  void* take(std::size_t& bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = idle_.lower_bound(bytes);
    if (found == idle_.end()) {
      drop_idle();
      return map_pages(bytes);
    }
    bytes = found->first;
    void* base = found->second;
    idle_.erase(found);
    return base;
  }

  void give_back(void* base, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (open_) {
      idle_.emplace(bytes, base);
    } else {
      static_cast<void>(::munmap(base, bytes));
    }
  }

  void drop_idle() {
    for (const auto& [bytes, base] : idle_) static_cast<void>(::munmap(base, bytes));
    idle_.clear();
  }

  c10::Allocator* small_;
  std::mutex mutex_;
  std::multimap<std::size_t, void*> idle_;
  bool open_ = true;
};

HostPool::HostPool() : previous_(c10::GetAllocator(c10::kCPU)) {
  if (dynamic_cast<Blocks*>(previous_) != nullptr) return;
  blocks_ = std::make_shared<Blocks>(previous_);
  c10::SetAllocator(c10::kCPU, blocks_.get());
}

HostPool::~HostPool() {
  if (blocks_ == nullptr) return;
  c10::SetAllocator(c10::kCPU, previous_);
  blocks_->close();
}

}  // namespace ferry::model::vae
