// Conversion between Ferry's and LibTorch's element types and devices, and creation of tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "base/device.h"
#include "base/dtype.h"

namespace ferry::model {

// Throws std::invalid_argument for a type without a counterpart.
at::ScalarType scalar_type(DType dtype);
DType dtype_of(const at::Tensor& tensor);

at::Device torch_device(const Device& device);

// Uninitialised and contiguous, from LibTorch's allocator.
at::Tensor empty(std::span<const std::int64_t> shape, DType dtype, const Device& device);

// A view of memory owned elsewhere: `data` is on `device`; strides in elements.
at::Tensor view_of(void* data, std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                   DType dtype, const Device& device);

// Throws std::invalid_argument naming `what` and the actual and expected shape and type unless the tensor is
// of `dtype` and `shape` (-1: any extent).
void require(const at::Tensor& tensor, DType dtype, std::span<const std::int64_t> shape, const char* what);

}  // namespace ferry::model
