// Keeps LibTorch's large CPU blocks for reuse, so that their pages are touched once.
//
// LibTorch asks the system for every large tensor anew, and the kernel clears its pages at first touch: for
// the decoder's activations (150 MB each at 240 x 416) that cost 10 % of the convolutions' time.
#pragma once

#include <c10/core/Allocator.h>

#include <memory>

namespace ferry::model::vae {

// While it lives, CPU tensors of 1 MiB and more come from blocks that are kept when a tensor is freed: the
// smallest idle block that is large enough, else, once the idle ones are given back, a new one (huge pages
// where the system has them).  Smaller tensors are LibTorch's as before.
//
// It replaces LibTorch's CPU allocator, which is one for the process: make and destroy it while no other
// thread creates tensors.  Inside another HostPool it does nothing.  Tensors may outlive it and may be freed
// by any thread; the rest of the memory goes back to the system with it.
class HostPool {
 public:
  HostPool();
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

 private:
  class Blocks;
  std::shared_ptr<Blocks> blocks_;  // empty inside another HostPool
  c10::Allocator* previous_ = nullptr;
};

}  // namespace ferry::model::vae
