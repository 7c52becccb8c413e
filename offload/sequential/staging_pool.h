// Device memory for the copies and casts of one call, taken once and used again.
#pragma once

#include <cstddef>
#include <list>
#include <vector>

#include "offload/device_account.h"

namespace ferry::offload {

// All users queue their work on one stream, so a range may be handed out again as soon as it was given back:
// the stream's order keeps the two apart.
class StagingPool {
 public:
  StagingPool(Device& device, DeviceAccount& account) : device_(device), account_(account) {}
  // Takes memory for at least `bytes` at once, unless there is any.  Throws OutOfMemory.
  void reserve(std::size_t bytes);
  // A range at a multiple of 256 bytes; the pool grows when it has none, which happens in the first passes
  // only.  Throws OutOfMemory.
  std::byte* take(std::size_t bytes);
  void give(const std::byte* data);
  // Drops everything; no range is out.
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
