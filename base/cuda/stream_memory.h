// Memory operations of streams: a number that one stream writes and another waits for.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <span>

#include "base/device.h"

namespace ferry {

// Functions of the driver, which the program is not linked with.
class StreamMemory {
 public:
  // Throws CudaError when the driver lacks them.
  StreamMemory();

  using Operation = CUstreamBatchMemOpParams;
  // Writes after a fence for the whole system.  `address` is this device's, another's that this process has
  // mapped, or page-locked host memory.
  static Operation write_of(CUdeviceptr address, std::uint32_t value);
  // What is queued behind it comes after the number is (int32_t)(number - value) >= 0.
  static Operation wait_reached_of(CUdeviceptr address, std::uint32_t value);
  // ... is `value`.
  static Operation wait_equal_of(CUdeviceptr address, std::uint32_t value);

  // In their order, in stream order.  At most 255, which the driver may write to.
  void queue(Stream& stream, std::span<Operation> operations) const;
  void write(Stream& stream, CUdeviceptr address, std::uint32_t value) const {
    Operation one = write_of(address, value);
    queue(stream, {&one, 1});
  }
  void wait_equal(Stream& stream, CUdeviceptr address, std::uint32_t value) const {
    Operation one = wait_equal_of(address, value);
    queue(stream, {&one, 1});
  }

 private:
  decltype(cuStreamBatchMemOp)* batch_;
};

}  // namespace ferry
