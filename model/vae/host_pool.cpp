#include "model/vae/host_pool.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "base/error.h"

namespace ferry::model::vae {

namespace {

constexpr std::size_t kLarge = std::size_t{1} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Block {
  void* data = nullptr;
  std::size_t bytes = 0;
};

Block map_block(std::size_t bytes) {
  bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw OutOfMemory("no " + std::to_string(bytes) + " bytes of host memory left");
  static_cast<void>(::madvise(data, bytes, MADV_HUGEPAGE));  // a wish only
  return {data, bytes};
}

void unmap(const Block& block) { static_cast<void>(::munmap(block.data, block.bytes)); }

}  // namespace

// LibTorch's allocator while the pool lives.  Every tensor it made keeps it alive: a tensor may ask its
// allocator for more memory later.
class HostPool::Blocks final : public c10::Allocator, public std::enable_shared_from_this<Blocks> {
 public:
  explicit Blocks(c10::Allocator* small) : small_(small) {}
  ~Blocks() override { drop_idle(); }

  c10::DataPtr allocate(std::size_t bytes) override {
    auto lease = std::make_unique<Lease>();
    lease->owner = shared_from_this();
    void* data = nullptr;
    if (bytes < kLarge) {
      lease->small = small_->allocate(bytes);
      data = lease->small.get();
    } else {
      lease->block = take(bytes);
      data = lease->block.data;
    }
    return {data, lease.release(), [](void* context) { delete static_cast<Lease*>(context); },
            c10::Device(c10::kCPU)};
  }

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
  // What one tensor holds.
  struct Lease {
    std::shared_ptr<Blocks> owner;
    Block block;
    c10::DataPtr small;
    ~Lease() {
      if (block.data != nullptr) owner->give_back(block);
    }
  };

  Block take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (const auto found = idle_.lower_bound(bytes); found != idle_.end()) {
      const Block block = {found->second, found->first};
      idle_.erase(found);
      return block;
    }
    drop_idle();
    return map_block(bytes);
  }

  void give_back(const Block& block) {
    const std::lock_guard lock(mutex_);
    if (!open_) return unmap(block);
    idle_.emplace(block.bytes, block.data);
  }

  void drop_idle() {
    for (const auto& [bytes, data] : idle_) unmap({data, bytes});
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
