#include "worker/stages/finite_flags.h"

#include "base/error.h"
#include "model/kernels/finite.h"
#include "model/tensor.h"

namespace ferry::worker {
namespace {

at::Tensor readable(const at::Tensor& values) {
  const bool known = values.scalar_type() == at::kFloat || values.scalar_type() == at::kBFloat16;
  return (known ? values : values.to(at::kFloat)).contiguous();
}

}  // namespace

FiniteFlags::FiniteFlags(Device& device, std::size_t looks)
    : device_(device), flags_(device.allocate(looks * sizeof(std::uint32_t))), host_(looks) {
  device_.compute().fill(flags_.data(), 0, flags_.bytes());
  device_.compute().synchronize();
  try {
    device_.pin(host_.data(), flags_.bytes());
    pinned_ = true;
  } catch (const CudaError&) {  // then the copy blocks the host: slower, but correct
  }
}

FiniteFlags::~FiniteFlags() {
  try {
    device_.compute().synchronize();
  } catch (...) {  // already reported by an earlier call
  }
  if (pinned_) device_.unpin(host_.data());
}

void FiniteFlags::look(std::size_t index, const at::Tensor& values) {
  const at::Tensor what = readable(values);
  std::uint32_t* answer = &host_.at(index);
  auto* flag = reinterpret_cast<std::uint32_t*>(flags_.data()) + index;
  model::kernels::flag_not_finite(what.const_data_ptr(), model::dtype_of(what), what.numel(), flag,
                                  device_.compute());
  device_.compute().copy(answer, flag, sizeof(*flag));
}

bool all_finite(Device& device, const at::Tensor& values) {
  FiniteFlags flags(device, 1);
  flags.look(0, values);
  device.compute().synchronize();
  return flags.finite(0);
}

}  // namespace ferry::worker
