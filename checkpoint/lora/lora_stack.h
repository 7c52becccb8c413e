// LoRAs that are applied together, and what they add to the tensors of a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/lora/lora.h"

namespace ferry::checkpoint {

struct LoraUse {
  std::shared_ptr<const LoraFile> file;
  double strength = 1.0;  // factor of all that it adds; 0: nothing
};
// In the order in which they are added.
using LoraStack = std::vector<LoraUse>;

// All additions, or all but the low-rank ones to linears, which their calls add.
enum class LoraTerms : std::uint8_t { All, NotInCalls };

// One of the additions to a tensor: B A or a whole difference, the other being nullptr.
struct LoraAddition {
  const LoraPair* pair = nullptr;
  const TensorEntry* difference = nullptr;
  double strength = 1.0;
};

// What the stack adds to the tensor with this official key, in order; nothing with strength 0.
std::vector<LoraAddition> additions_to(const std::string& key, const LoraStack& stack, LoraTerms terms);

// Bytes of what calls add, the rest of All: in the types of the weights that it is added to.
std::size_t bytes_in_calls(const LoraStack& stack, const model::NetworkSpec& network);

struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// As read_tensor_rows (checkpoint/checkpoint.h), with the additions computed in fp32 in their order, and the
// sum rounded once to spec.dtype.  Values do not depend on how the rows are divided.  `spec` is contiguous,
// with at least one axis. Throws as read_tensor_rows does.
void read_merged_rows(const TensorEntry& entry, const model::TensorSpec& spec,
                      std::span<const LoraAddition> additions, std::byte* dst, RowRange rows);

}  // namespace ferry::checkpoint
