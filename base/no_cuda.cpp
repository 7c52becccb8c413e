// CUDA functions of base/device.h, numa.h and stream_gate.h for builds without CUDA.
#include "base/device.h"
#include "base/error.h"
#include "base/host/numa.h"
#include "base/stream_gate.h"

namespace ferry {

int cuda_device_count() { return 0; }

std::string cuda_device_uuid(int) {
  throw UserError("this program was built without CUDA: use --device cpu");
}

std::string cuda_pci_address(int) { return {}; }

std::unique_ptr<Device> make_cuda_device(int) {
  throw UserError("this program was built without CUDA: use --device cpu");
}

std::unique_ptr<StreamGate> make_cuda_stream_gate(Device&) {
  throw UserError("this program was built without CUDA: use --device cpu");
}

}  // namespace ferry
