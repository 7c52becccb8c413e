#include "worker/counted_device.h"

namespace ferry::worker {

DeviceMemory CountedDevice::allocate(std::size_t bytes) {
  auto memory = std::make_shared<DeviceMemory>(device_->allocate(bytes));
  if (memory->data() == nullptr) return {};
  *allocated_ += bytes;
  const auto release = [memory, bytes, allocated = allocated_](void*) {
    *memory = {};
    *allocated -= bytes;
  };
  return {memory->data(), bytes, release};
}

}  // namespace ferry::worker
