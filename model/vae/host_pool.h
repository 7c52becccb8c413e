// Keeps LibTorch's large CPU blocks for reuse, so that their pages are faulted in once.
//
// LibTorch allocates every large tensor anew, and the kernel clears its pages at first touch, at 0.6 to 2
// GB/s on a virtual machine: for the decoder's activations (150 MB each at 240 x 416) that took 10 % of the
// convolutions' time.
#pragma once

#include <c10/core/Allocator.h>

#include <memory>

namespace ferry::model::vae {

// While it exists, CPU tensors of 1 MiB and more are placed in one reserved address range, each at the lowest
// free offset, on huge pages if available; freed memory stays resident for the next tensor. Smaller tensors
// are LibTorch's as before.
//
// It replaces LibTorch's process-wide CPU allocator: create and destroy it while no other thread creates
// tensors.  Inside another HostPool, or if the range cannot be reserved, it does nothing.  Tensors may
// outlive it and may be freed by any thread; all other memory is returned when it is destroyed.
class HostPool {
 public:
  HostPool();
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

 private:
  class Blocks;
  std::shared_ptr<Blocks> blocks_;  // empty if inactive
  c10::Allocator* previous_ = nullptr;
};

}  // namespace ferry::model::vae
