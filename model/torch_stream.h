// Makes LibTorch use a device's compute stream.
#pragma once

#include <memory>

#include "base/device.h"

namespace ferry::model {

// While it exists, the calling thread's LibTorch operations are queued on `device.compute()` and its
// allocator serves that stream.  A no-op on the CPU. Scopes nest; destroy in reverse order, on the creating
// thread.
class TorchStream {
 public:
  explicit TorchStream(Device& device);
  ~TorchStream();
  TorchStream(const TorchStream&) = delete;
  TorchStream& operator=(const TorchStream&) = delete;

 private:
  struct Guard;
  std::unique_ptr<Guard> guard_;  // empty on the CPU
};

}  // namespace ferry::model
