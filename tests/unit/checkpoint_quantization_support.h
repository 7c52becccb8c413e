// Checkpoints of a few tensors, some of them in 8 bits, and what they should be read as.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::testing {

using Shape = std::vector<std::int64_t>;

struct RawTensor {
  std::string name;
  std::string dtype;  // as safetensors has it
  Shape shape;
  std::string bytes;
};

// Seeded contents.
RawTensor fp8_tensor(const std::string& name, const Shape& shape, unsigned seed = 1);
RawTensor int8_tensor(const std::string& name, const Shape& shape, unsigned seed = 1);
RawTensor scale_tensor(const std::string& name, const Shape& shape, const std::string& dtype = "F32");
RawTensor floats_tensor(const std::string& name, const Shape& shape, const std::vector<float>& values);
RawTensor text_tensor(const std::string& name, const std::string& text);

// A safetensors file; `metadata` is the text of the __metadata__ object, or empty.
std::string file_of(const std::vector<RawTensor>& tensors, const std::string& metadata = "");

// The number an element stands for, computed here with ldexp and nothing of the program.
float value_of(const RawTensor& tensor, std::size_t index);

// What reading `weight` as bf16 should give, bit for bit: scale_at(row, column) times the number, in fp32.
std::vector<std::uint16_t> expected_bf16(const RawTensor& weight,
                                         const std::function<float(std::int64_t, std::int64_t)>& scale_at);

// The tensor of an official key, read as bf16 in two parts.
std::vector<std::uint16_t> read_bf16(const checkpoint::Checkpoint& checkpoint, const std::string& key);

}  // namespace ferry::testing
