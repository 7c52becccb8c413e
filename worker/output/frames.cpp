#include "worker/output/frames.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

namespace ferry::worker {

at::Tensor to_rgb8(const at::Tensor& frames) {
  if (frames.dim() != 4 || frames.size(0) != 3) {
    throw std::invalid_argument(
        fmt::format("to_rgb8: [{}] is not [3, f, H, W]", fmt::join(frames.sizes(), ", ")));
  }
  const at::Tensor bytes = ((at::clamp(frames.to(at::kFloat), -1, 1) + 1) / 2 * 255).to(at::kByte);
  return bytes.permute({1, 2, 3, 0}).contiguous();
}

Clip clip_of(const at::Tensor& frames) {
  if (frames.dim() != 4 || frames.size(3) != 3 || frames.scalar_type() != at::kByte || !frames.is_cpu() ||
      !frames.is_contiguous()) {
    throw std::invalid_argument("clip_of: not a contiguous [F, H, W, 3] uint8 tensor on the CPU");
  }
  return {.rgb = frames.const_data_ptr<std::uint8_t>(),
          .frames = static_cast<int>(frames.size(0)),
          .width = static_cast<int>(frames.size(2)),
          .height = static_cast<int>(frames.size(1))};
}

}  // namespace ferry::worker
