// Reusable device memory for the copies and casts of one call.
#pragma once

#include <cstddef>
#include <list>
#include <vector>

#include "offload/device_account.h"

namespace ferry::offload {

// All users queue their work on one stream, so a range can be reused as soon as it has been given back:
// stream order separates the uses.
class StagingPool {
 public:
  StagingPool(Device& device, DeviceAccount& account) : device_(device), account_(account) {}
  // Allocates at least `bytes` at once, unless memory is already allocated.  Throws OutOfMemory.
  void reserve(std::size_t bytes);
  // Returns a range aligned to 256 bytes; the pool grows if necessary, which happens only in the first
  // passes.  Throws OutOfMemory.
  std::byte* take(std::size_t bytes);
  void give(const std::byte* data);
  // Frees everything; no range may be in use.
  void clear();
  std::size_t bytes() const;

 private:
  struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  struct Region {
    AccountedMemory memory;
    std::vector<Range> taken;  // ascending
  };
  static std::byte* fit(Region& region, std::size_t bytes);
  Device& device_;
  DeviceAccount& account_;
  std::list<Region> regions_;
};

}  // namespace ferry::offload
