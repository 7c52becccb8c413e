// Ferry's element types and devices in LibTorch's words, and the two ways to make a tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "base/device.h"
#include "base/dtype.h"

namespace ferry::model {

// Throws std::invalid_argument for a type of one side that the other does not have.
at::ScalarType scalar_type(DType dtype);
DType dtype_of(const at::Tensor& tensor);

at::Device torch_device(const Device& device);

// Uninitialised, contiguous, from LibTorch's allocator.
at::Tensor empty(std::span<const std::int64_t> shape, DType dtype, const Device& device);

// A view of memory that someone else owns and keeps alive: `data` is on `device`; strides in elements.
at::Tensor view_of(void* data, std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                   DType dtype, const Device& device);

// Throws std::invalid_argument naming `what`, the tensor's shape and type and those wanted, unless it is a
// tensor of `dtype` and `shape` (-1: any extent).
void require(const at::Tensor& tensor, DType dtype, std::span<const std::int64_t> shape, const char* what);

}  // namespace ferry::model
