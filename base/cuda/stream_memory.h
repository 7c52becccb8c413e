// Stream memory operations: one stream writes a number, another waits for it.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <span>

#include "base/device.h"

namespace ferry {

// Driver functions, resolved at run time because the program is not linked with the driver.
class StreamMemory {
 public:
  // Throws CudaError if the driver lacks them.
  StreamMemory();

  using Operation = CUstreamBatchMemOpParams;
  // Writes after a system-wide fence.  `address` is in this device's memory, in another device's memory that
  // this process has mapped, or in page-locked host memory.
  static Operation write_of(CUdeviceptr address, std::uint32_t value);
  // Holds up later work of the stream until (int32_t)(number - value) >= 0.
  static Operation wait_reached_of(CUdeviceptr address, std::uint32_t value);
  // As above, until the number equals `value`.
  static Operation wait_equal_of(CUdeviceptr address, std::uint32_t value);

  // Queues them in order.  At most 255; the driver may write to `operations`.
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
