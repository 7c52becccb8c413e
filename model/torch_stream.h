// Makes LibTorch work on a device's compute stream.
#pragma once

#include <memory>

#include "base/device.h"

namespace ferry::model {

// While it lives, LibTorch's operations of the calling thread are queued on `device.compute()` and its
// allocator serves that stream.  On the CPU there is nothing to do.  Scopes nest; destroy in reverse order,
// on the thread that made it.
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
