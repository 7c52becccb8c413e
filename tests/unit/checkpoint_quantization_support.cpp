#include "tests/unit/checkpoint_quantization_support.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>

#include "tests/unit/checkpoint_support.h"

namespace ferry::testing {

namespace {

std::size_t elements_of(const Shape& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

template <typename T>
T element(const std::string& bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

float e4m3(std::uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int fraction = bits & 7;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                   : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
  return (bits & 0x80) != 0 ? -size : size;
}

float half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                   : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

// The nearer of the two neighbours; of equal ones the even one.
std::uint16_t nearest_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto below = static_cast<std::uint16_t>(bits >> 16);
  const std::uint32_t rest = bits & 0xffff;
  const bool up = rest > 0x8000 || (rest == 0x8000 && (below & 1) != 0);
  return static_cast<std::uint16_t>(below + (up ? 1 : 0));
}

}  // namespace

RawTensor fp8_tensor(const std::string& name, const Shape& shape, unsigned seed) {
  RawTensor tensor{name, "F8_E4M3", shape, std::string(elements_of(shape), '\0')};
  std::mt19937 random(seed);
  for (char& byte : tensor.bytes) {
    do byte = static_cast<char>(random());
    while ((byte & 0x7f) == 0x7f);  // NaN
  }
  return tensor;
}

RawTensor int8_tensor(const std::string& name, const Shape& shape, unsigned seed) {
  RawTensor tensor{name, "I8", shape, std::string(elements_of(shape), '\0')};
  std::mt19937 random(seed);
  for (char& byte : tensor.bytes) byte = static_cast<char>(random());
  return tensor;
}

RawTensor floats_tensor(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {name, "F32", shape, bytes};
}

RawTensor scale_tensor(const std::string& name, const Shape& shape, const std::string& dtype) {
  std::mt19937 random(7);
  std::string bytes;
  for (std::size_t i = 0; i < elements_of(shape); ++i) {
    // About 0.001 to 0.01, as real scales are.
    const float value =
        std::ldexp(1.0F + static_cast<float>(random() % 4096) / 4096, -10 + static_cast<int>(i % 4));
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t shown = dtype == "F32"    ? bits
                                : dtype == "BF16" ? bits >> 16
                                                  : ((bits >> 23) - 112) << 10 | ((bits >> 13) & 1023);
    bytes.append(reinterpret_cast<const char*>(&shown), dtype == "F32" ? 4 : 2);
  }
  return {name, dtype, shape, bytes};
}

RawTensor text_tensor(const std::string& name, const std::string& text) {
  return {name, "U8", {static_cast<std::int64_t>(text.size())}, text};
}

std::string file_of(const std::vector<RawTensor>& tensors, const std::string& metadata) {
  std::string header = metadata.empty() ? "{" : "{\"__metadata__\":" + metadata + ",";
  std::string data;
  for (const RawTensor& tensor : tensors) {
    header += fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          data.empty() ? "" : ",", tensor.name, tensor.dtype, fmt::join(tensor.shape, ","),
                          data.size(), data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  return safetensors_bytes(header + "}", data);
}

float value_of(const RawTensor& tensor, std::size_t index) {
  if (tensor.dtype == "F8_E4M3") return e4m3(element<std::uint8_t>(tensor.bytes, index));
  if (tensor.dtype == "I8") return element<std::int8_t>(tensor.bytes, index);
  if (tensor.dtype == "F32") return element<float>(tensor.bytes, index);
  if (tensor.dtype == "F16") return half(element<std::uint16_t>(tensor.bytes, index));
  if (tensor.dtype == "BF16")
    return std::bit_cast<float>(static_cast<std::uint32_t>(element<std::uint16_t>(tensor.bytes, index))
                                << 16);
  throw std::invalid_argument(tensor.dtype);
}

std::vector<std::uint16_t> expected_bf16(const RawTensor& weight,
                                         const std::function<float(std::int64_t, std::int64_t)>& scale_at) {
  const auto columns = static_cast<std::int64_t>(elements_of(weight.shape)) / weight.shape.at(0);
  std::vector<std::uint16_t> bits;
  for (std::int64_t row = 0; row < weight.shape[0]; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const float product =
          value_of(weight, static_cast<std::size_t>(row * columns + column)) * scale_at(row, column);
      bits.push_back(nearest_bf16(product));
    }
  }
  return bits;
}

std::vector<std::uint16_t> read_bf16(const checkpoint::Checkpoint& checkpoint, const std::string& key) {
  const checkpoint::TensorEntry* entry = checkpoint.find(key);
  if (entry == nullptr) throw std::invalid_argument(key);
  const model::TensorSpec spec{.key = key, .shape = entry->shape, .dtype = DType::BF16};
  std::vector<std::uint16_t> bits(elements_of(entry->shape));
  const std::int64_t rows = entry->shape.empty() ? 1 : entry->shape[0];
  auto* place = reinterpret_cast<std::byte*>(bits.data());
  checkpoint::read_tensor_rows(*entry, spec, place, rows / 3, rows);
  checkpoint::read_tensor_rows(*entry, spec, place, 0, rows / 3);
  return bits;
}

}  // namespace ferry::testing
