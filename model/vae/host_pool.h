// Keeps LibTorch's large CPU blocks for reuse, so that their pages are touched once.
//
// LibTorch asks the system for every large tensor anew, and the kernel clears its pages at first touch, at
// 0.6 to 2 GB/s on a virtual machine: for the decoder's activations (150 MB each at 240 x 416) that cost 10 %
// of the convolutions' time.
#pragma once

#include <c10/core/Allocator.h>

#include <memory>

namespace ferry::model::vae {

// While it lives, CPU tensors of 1 MiB and more lie in one reserved range of addresses, each at the lowest
// place that is free, on huge pages where the system has them; what a freed tensor leaves stays touched for
// the next. Smaller tensors are LibTorch's as before.
//
// It replaces LibTorch's CPU allocator, which is one for the process: make and destroy it while no other
// thread creates tensors.  Inside another HostPool, and where the system refuses the range, it does nothing.
// Tensors may outlive it and may be freed by any thread; the rest of the memory goes back to the system with
// it.
class HostPool {
 public:
  HostPool();
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

 private:
  class Blocks;
  std::shared_ptr<Blocks> blocks_;  // empty where it does nothing
  c10::Allocator* previous_ = nullptr;
};

}  // namespace ferry::model::vae
