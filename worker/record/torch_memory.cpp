#include "worker/record/torch_memory.h"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstdint>

namespace ferry::worker {

class TorchMemory::Count final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    // Tensors created earlier may be freed now.
    now_ = std::max<std::int64_t>(0, now_ + bytes);
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::size_t now() const { return static_cast<std::size_t>(now_); }
  std::size_t peak() const { return static_cast<std::size_t>(peak_); }

 private:
  std::int64_t now_ = 0;
  std::int64_t peak_ = 0;
};

TorchMemory::TorchMemory()
    : count_(std::make_shared<Count>()), guard_(c10::DebugInfoKind::PROFILER_STATE, count_) {}

std::size_t TorchMemory::peak_bytes() const { return count_->peak(); }

std::size_t TorchMemory::now_bytes() const { return count_->now(); }

}  // namespace ferry::worker
