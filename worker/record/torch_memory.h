// What LibTorch allocates on the CPU while a stage runs: its activations.
#pragma once

#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstddef>
#include <memory>

namespace ferry::worker {

// While it lives, counts the CPU tensors that this thread makes and drops, with LibTorch's memory profiling.
// Weights are not among them: offload/ has memory of its own.  Made and destroyed on one thread; an inner one
// takes over from an outer one.
class TorchMemory {
 public:
  TorchMemory();
  std::size_t peak_bytes() const;

 private:
  class Count;
  std::shared_ptr<Count> count_;
  c10::DebugInfoGuard guard_;
};

}  // namespace ferry::worker
