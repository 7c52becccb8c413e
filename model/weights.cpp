#include "model/weights.h"

#include <stdexcept>

#include "model/shape.h"

namespace ferry::model {

namespace {

// Strides of [O, I, spatial ...] with I fastest.
std::vector<std::int64_t> channels_last(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size());
  strides[1] = 1;
  std::int64_t step = shape[1];
  for (std::size_t i = shape.size(); i-- > 2;) {
    strides[i] = step;
    step *= shape[i];
  }
  strides[0] = step;
  return strides;
}

}  // namespace

const ModuleSpec& module_of(const NetworkSpec& spec, ModuleId id) {
  const auto index = static_cast<std::size_t>(id.module);
  if (id.block == ModuleId::kHead) return spec.head.at(index);
  if (id.block == ModuleId::kTail) return spec.tail.at(index);
  return spec.blocks.at(static_cast<std::size_t>(id.block)).modules.at(index);
}

MemoryFormat memory_format(const TensorSpec& spec) {
  MemoryFormat format;
  format.shape = spec.shape;
  if (spec.layout == Layout::TimeStacked) {
    if (spec.shape.size() != 5)
      throw std::invalid_argument(spec.key + ": time-stacked needs five dimensions");
    format.shape = {spec.shape[0], spec.shape[1] * spec.shape[2], spec.shape[3], spec.shape[4]};
  }
  format.strides = spec.layout == Layout::Contiguous ? row_major(format.shape) : channels_last(format.shape);
  format.bytes = size_of(spec.dtype);
  for (const std::int64_t extent : format.shape) format.bytes *= static_cast<std::size_t>(extent);
  return format;
}

// A scope that ends because of an exception releases too, but lets that exception through alone.
PassScope::~PassScope() noexcept(false) {
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  try {
    weights_.end();
  } catch (...) {
    if (!unwinding) throw;
  }
}

BlockScope::~BlockScope() noexcept(false) {
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  try {
    weights_.release_block(block_);
  } catch (...) {
    if (!unwinding) throw;
  }
}

ModuleScope::~ModuleScope() noexcept(false) {
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  try {
    weights_.release(id_);
  } catch (...) {
    if (!unwinding) throw;
  }
}

}  // namespace ferry::model
