// Observation of a network's intermediate results.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string_view>

namespace ferry::model {

// Receives intermediate results of a pass, to compare implementations or to find where values go wrong: a
// name ("self_attn", "ffn"), the block (ModuleId::kHead, kTail outside of blocks) and this rank's value,
// which is valid on the compute stream and only during the call.
using Tap = std::function<void(std::string_view name, int block, const at::Tensor& value)>;

}  // namespace ferry::model
