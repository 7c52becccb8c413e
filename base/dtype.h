// Element types of weights and activations, without LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ferry {

enum class DType : std::uint8_t { F64, F32, F16, BF16, F8E4M3, I64, I32, I16, I8, U8, Bool };

// Bytes of one element.
std::size_t size_of(DType dtype);

// The name used in options and messages: "fp32", "bf16", "fp16", "fp8" (e4m3), "fp64", "int64", ...
std::string_view name_of(DType dtype);

// Inverse of name_of; also accepts the safetensors names ("F32", "BF16", "F8_E4M3").
// Throws std::invalid_argument naming the accepted words.
DType dtype_from_name(std::string_view name);

// Converts `count` elements on the calling thread.  Every pair among {F64, F32, F16, BF16, F8E4M3}
// and equal types; rounds to nearest even, saturating to the largest finite value for F8E4M3 (which
// has no infinity).  `dst` and `src` need not be aligned and must not overlap.
// Throws std::invalid_argument for any other pair.
void convert(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count);

}  // namespace ferry
