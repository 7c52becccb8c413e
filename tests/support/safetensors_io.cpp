#include "tests/support/safetensors_io.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include "checkpoint/formats/safetensors.h"
#include "model/tensor.h"

namespace ferry::testing {

TensorMap read_safetensors(const std::string& path) {
  const auto file = checkpoint::SafetensorsFile::open(path);
  TensorMap tensors;
  for (const auto& entry : file.entries()) {
    at::Tensor tensor = at::empty(entry.shape, model::scalar_type(entry.dtype));
    std::memcpy(tensor.mutable_data_ptr(), entry.data, tensor.nbytes());
    tensors[entry.source_key] = tensor;
  }
  return tensors;
}

void write_safetensors(const std::string& path, const TensorMap& tensors) {
  std::vector<checkpoint::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    infos.push_back({.name = name, .dtype = model::dtype_of(tensor), .shape = tensor.sizes().vec()});
  }
  checkpoint::SafetensorsWriter writer(path, infos);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor host = tensor.to(at::kCPU).contiguous();
    writer.write({static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()});
  }
  writer.finish();
}

}  // namespace ferry::testing
