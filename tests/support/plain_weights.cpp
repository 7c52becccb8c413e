#include "tests/support/plain_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/sin.h>

#include <algorithm>
#include <stdexcept>

#include "model/shape.h"

namespace ferry::testing {

namespace {

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return at::kFloat;
    case DType::BF16:
      return at::kBFloat16;
    case DType::F16:
      return at::kHalf;
    default:
      throw std::invalid_argument("test weights: unsupported dtype");
  }
}

at::Tensor in_layout(const model::TensorSpec& spec, const at::Tensor& source) {
  const model::MemoryFormat format = model::memory_format(spec);
  at::Tensor out = at::empty_strided(format.shape, format.strides, scalar_type(spec.dtype));
  out.copy_(source.reshape(spec.shape));
  return out;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool is_norm_scale(const std::string& key) {
  return (key.find("norm") != std::string::npos && ends_with(key, ".weight")) || ends_with(key, ".gamma") ||
         ends_with(key, "proj.0.weight") || ends_with(key, "proj.4.weight");
}

void each_module(const model::NetworkSpec& spec, const std::function<void(const model::ModuleSpec&)>& visit) {
  for (const auto& module : spec.head) visit(module);
  for (const auto& block : spec.blocks) {
    for (const auto& module : block.modules) visit(module);
  }
  for (const auto& module : spec.tail) visit(module);
}

}  // namespace

PlainWeights::PlainWeights(model::NetworkSpec spec,
                           const std::function<at::Tensor(const model::TensorSpec&)>& fill, at::Device device)
    : spec_(std::move(spec)) {
  each_module(spec_, [&](const model::ModuleSpec& module) {
    auto& tensors = tensors_[module.name];
    for (const auto& tensor : module.tensors) {
      at::Tensor value = in_layout(tensor, fill(tensor));
      tensors.push_back(module.host_only ? value : value.to(device));
    }
  });
}

model::ModuleView PlainWeights::acquire(model::ModuleId id) {
  return {.tensors = tensors_.at(model::module_of(spec_, id).name)};
}

std::span<const at::Tensor> PlainWeights::on_host(model::ModuleId id) {
  return tensors_.at(model::module_of(spec_, id).name);
}

std::vector<const model::TensorSpec*> all_tensors(const model::NetworkSpec& spec) {
  std::vector<const model::TensorSpec*> found;
  each_module(spec, [&](const model::ModuleSpec& module) {
    for (const auto& tensor : module.tensors) found.push_back(&tensor);
  });
  return found;
}

std::map<std::string, at::Tensor> golden_fill(
    const std::vector<std::pair<std::string, std::vector<int64_t>>>& keys) {
  std::map<std::string, std::vector<int64_t>> sorted(keys.begin(), keys.end());
  std::map<std::string, at::Tensor> filled;
  int position = 0;
  for (const auto& [key, shape] : sorted) {
    const at::Tensor w =
        at::sin(at::arange(model::numel(shape), at::kDouble) * 0.013 + (1.0 + 0.7 * position));
    at::Tensor value = is_norm_scale(key) ? w * 0.1 + 1.0 : shape.size() == 1 ? w * 0.02 : w * 0.05;
    filled[key] = value.to(at::kFloat).reshape(shape);
    ++position;
  }
  return filled;
}

at::Tensor golden_input(std::vector<int64_t> shape, double a, double b) {
  return at::sin(at::arange(model::numel(shape), at::kDouble) * b + a).to(at::kFloat).reshape(shape);
}

}  // namespace ferry::testing
