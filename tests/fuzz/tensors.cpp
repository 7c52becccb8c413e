#include "tests/fuzz/tensors.h"

#include "model/weights.h"
#include "tests/fuzz/scratch.h"

namespace ferry::fuzz {

std::string safetensors(const std::vector<checkpoint::TensorInfo>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  return made_by([&](const std::string& path) {
    checkpoint::SafetensorsWriter writer(path, tensors, metadata);
    for (const checkpoint::TensorInfo& tensor : tensors)
      writer.write(std::vector<std::byte>(tensor.bytes(), std::byte{0x38}));
    writer.finish();
  });
}

void touch(const std::vector<checkpoint::TensorEntry>& entries) {
  constexpr std::int64_t kMost = 1'000'000;  // a view with strides of 0 may have more elements than its file
  std::vector<std::byte> dst;
  for (const checkpoint::TensorEntry& entry : entries) {
    if (entry.numel() > kMost) continue;
    const DType dtype = entry.scale == nullptr ? entry.dtype : DType::F32;
    const model::TensorSpec spec = {entry.key, entry.shape, dtype, model::Layout::Contiguous};
    dst.resize(memory_format(spec).bytes);
    read_tensor(entry, spec, dst.data());
  }
}

}  // namespace ferry::fuzz
