#include "base/dtype.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "base/element.h"

namespace ferry {

namespace {

struct TypeName {
  DType type;
  std::string_view name;
  std::string_view safetensors;
  std::size_t bytes;
};

constexpr std::array<TypeName, 11> kTypes = {{
    {DType::F64, "fp64", "F64", 8},
    {DType::F32, "fp32", "F32", 4},
    {DType::F16, "fp16", "F16", 2},
    {DType::BF16, "bf16", "BF16", 2},
    {DType::F8E4M3, "fp8", "F8_E4M3", 1},
    {DType::I64, "int64", "I64", 8},
    {DType::I32, "int32", "I32", 4},
    {DType::I16, "int16", "I16", 2},
    {DType::I8, "int8", "I8", 1},
    {DType::U8, "uint8", "U8", 1},
    {DType::Bool, "bool", "BOOL", 1},
}};

const TypeName& entry(DType dtype) { return kTypes.at(static_cast<std::size_t>(dtype)); }

template <DType dst_type, DType src_type>
[[gnu::always_inline]] inline void convert_row(void* dst, const void* src, std::size_t count) {
  auto* out = static_cast<std::byte*>(dst);
  const auto* in = static_cast<const std::byte*>(src);
  for (std::size_t i = 0; i < count; ++i) {
    Stored<src_type> x;
    std::memcpy(&x, in + i * sizeof x, sizeof x);
    const Stored<dst_type> y = convert_element<dst_type, src_type>(x);
    std::memcpy(out + i * sizeof y, &y, sizeof y);
  }
}

// convert_row compiled for wider vectors; the arithmetic is exact, so the bits are the same.
template <DType dst_type, DType src_type>
[[gnu::target("avx2")]] void convert_row_avx2(void* dst, const void* src, std::size_t count) {
  convert_row<dst_type, src_type>(dst, src, count);
}

template <DType dst_type, DType src_type>
void convert_row_any(void* dst, const void* src, std::size_t count) {
  convert_row<dst_type, src_type>(dst, src, count);
}

template <DType dst_type, DType src_type>
void convert_fast(void* dst, const void* src, std::size_t count) {
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  (wide ? convert_row_avx2<dst_type, src_type> : convert_row_any<dst_type, src_type>)(dst, src, count);
}

bool convert_floats(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) {
  bool known = false;
  with_float_type(dst_type, [&](auto d) {
    known = with_float_type(src_type, [&](auto s) { convert_fast<d.value, s.value>(dst, src, count); });
  });
  return known;
}

}  // namespace

std::size_t size_of(DType dtype) { return entry(dtype).bytes; }

std::string_view name_of(DType dtype) { return entry(dtype).name; }

DType dtype_from_name(std::string_view name) {
  std::string accepted;
  for (const TypeName& known : kTypes) {
    if (name == known.name || name == known.safetensors) return known.type;
    accepted += fmt::format("{}{}", accepted.empty() ? "" : ", ", known.name);
  }
  throw std::invalid_argument(fmt::format("unknown dtype \"{}\": {} are known", name, accepted));
}

void convert(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) {
  if (dst_type == src_type) {
    if (count > 0) std::memcpy(dst, src, count * size_of(dst_type));
    return;
  }
  if (!convert_floats(dst, dst_type, src, src_type, count)) {
    throw std::invalid_argument(
        fmt::format("no conversion from {} to {}", name_of(src_type), name_of(dst_type)));
  }
}

}  // namespace ferry
