#include "model/tensor.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

namespace ferry::model {

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return at::kDouble;
    case DType::F32:
      return at::kFloat;
    case DType::F16:
      return at::kHalf;
    case DType::BF16:
      return at::kBFloat16;
    case DType::F8E4M3:
      return at::kFloat8_e4m3fn;
    case DType::I64:
      return at::kLong;
    case DType::I32:
      return at::kInt;
    case DType::I16:
      return at::kShort;
    case DType::I8:
      return at::kChar;
    case DType::U8:
      return at::kByte;
    case DType::Bool:
      return at::kBool;
  }
  throw std::invalid_argument("scalar_type: unknown DType");
}

DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return DType::F64;
    case at::kFloat:
      return DType::F32;
    case at::kHalf:
      return DType::F16;
    case at::kBFloat16:
      return DType::BF16;
    case at::kFloat8_e4m3fn:
      return DType::F8E4M3;
    case at::kLong:
      return DType::I64;
    case at::kInt:
      return DType::I32;
    case at::kShort:
      return DType::I16;
    case at::kChar:
      return DType::I8;
    case at::kByte:
      return DType::U8;
    case at::kBool:
      return DType::Bool;
    default:
      throw std::invalid_argument(fmt::format("dtype_of: {} has no DType", toString(tensor.scalar_type())));
  }
}

at::Device torch_device(const Device& device) {
  if (device.type() == DeviceType::Cpu) return at::Device(at::kCPU);
  return {at::kCUDA, static_cast<at::DeviceIndex>(device.index())};
}

at::Tensor empty(std::span<const std::int64_t> shape, DType dtype, const Device& device) {
  return at::empty(at::IntArrayRef(shape.data(), shape.size()),
                   at::TensorOptions(torch_device(device)).dtype(scalar_type(dtype)));
}

at::Tensor view_of(void* data, std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                   DType dtype, const Device& device) {
  const at::Device place = torch_device(device);
  return at::for_blob(data, at::IntArrayRef(shape.data(), shape.size()))
      .strides(at::IntArrayRef(strides.data(), strides.size()))
      .target_device(place)
      .options(at::TensorOptions(place).dtype(scalar_type(dtype)))
      .make_tensor();
}

void require(const at::Tensor& tensor, DType dtype, std::span<const std::int64_t> shape, const char* what) {
  bool fits = tensor.defined() && tensor.scalar_type() == scalar_type(dtype) &&
              tensor.dim() == static_cast<std::int64_t>(shape.size());
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] < 0 || tensor.size(static_cast<std::int64_t>(i)) == shape[i];
  }
  if (fits) return;
  const std::string found =
      tensor.defined() ? fmt::format("{} {}", toString(tensor.scalar_type()), fmt::join(tensor.sizes(), "x"))
                       : "an undefined tensor";
  throw std::invalid_argument(fmt::format("{}: expected {} {} (-1: any), got {}", what, name_of(dtype),
                                          fmt::join(shape, "x"), found));
}

}  // namespace ferry::model
