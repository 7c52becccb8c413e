// Memory operations of streams: a number that one stream writes and another waits for.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "base/device.h"

namespace ferry {

// Functions of the driver, which the program is not linked with.
class StreamMemory {
 public:
  // Throws CudaError when the driver lacks them.
  StreamMemory();

  // In stream order, after a fence for the whole system.  `address` is this device's, another's that this
  // process has mapped, or page-locked host memory.
  void write(Stream& stream, CUdeviceptr address, std::uint32_t value) const;
  // What is queued from now on comes after the number is (int32_t)(number - value) >= 0.
  void wait_reached(Stream& stream, CUdeviceptr address, std::uint32_t value) const;
  // ... is `value`.
  void wait_equal(Stream& stream, CUdeviceptr address, std::uint32_t value) const;

 private:
  void wait(Stream& stream, CUdeviceptr address, std::uint32_t value, unsigned how) const;
  decltype(cuStreamWriteValue32)* write_;
  decltype(cuStreamWaitValue32)* wait_;
};

}  // namespace ferry
