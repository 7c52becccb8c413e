// Events of the CUDA device.
#pragma once

#include <cuda_runtime_api.h>

#include "base/device.h"
#include "base/handle.h"

namespace ferry {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(EventKind kind);
  bool done() const override;
  void synchronize() const override;
  double ms_since(const Event& begin) const override;
  void* native() const override { return event_.get(); }

 private:
  EventKind kind_;
  Handle<cudaEvent_t, cudaEventDestroy> event_;
};

// Returns the event's handle.  Throws std::invalid_argument if it belongs to another kind of device.
cudaEvent_t as_cuda(const Event& event);

}  // namespace ferry
