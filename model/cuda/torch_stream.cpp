#include "model/torch_stream.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace ferry::model {

struct TorchStream::Guard {
  explicit Guard(c10::cuda::CUDAStream of) : stream(of) {}
  c10::cuda::CUDAStreamGuard stream;
};

TorchStream::TorchStream(Device& device) {
  if (device.type() != DeviceType::Cuda) return;
  auto* native = static_cast<cudaStream_t>(device.compute().native());
  const auto index = static_cast<c10::DeviceIndex>(device.index());
  guard_ = std::make_unique<Guard>(c10::cuda::getStreamFromExternal(native, index));
}

TorchStream::~TorchStream() = default;

}  // namespace ferry::model
