// LibTorch's CPU allocations during a stage: its activations.
#pragma once

#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstddef>
#include <memory>

namespace ferry::worker {

// While it exists, counts the CPU tensors that this thread creates and frees, through LibTorch's memory
// profiling.  Excludes weights, which are in offload/'s own memory.  Create and destroy on one thread; an
// inner one replaces an outer one.
class TorchMemory {
 public:
  TorchMemory();
  std::size_t peak_bytes() const;
  std::size_t now_bytes() const;

 private:
  class Count;
  std::shared_ptr<Count> count_;
  c10::DebugInfoGuard guard_;
};

}  // namespace ferry::worker
