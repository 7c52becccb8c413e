#include "model/weights.h"

#include <stdexcept>
#include <utility>

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

// Called before a scope begins.
Weights& without_failure(Weights& weights) {
  weights.throw_kept();
  return weights;
}

template <class Work>
void keep_failure(Weights& weights, const Work& work) noexcept {
  try {
    work();
  } catch (...) {
    weights.keep(std::current_exception());
  }
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
  format.strides = spec.layout == Layout::Contiguous ? row_major(format.shape) : channels_last(format.shape);
  format.bytes = size_of(spec.dtype);
  for (const std::int64_t extent : format.shape) format.bytes *= static_cast<std::size_t>(extent);
  return format;
}

void Weights::keep(std::exception_ptr failure) noexcept {
  if (kept_ == nullptr) kept_ = std::move(failure);
}

void Weights::throw_kept() {
  if (kept_ != nullptr) std::rethrow_exception(std::exchange(kept_, nullptr));
}

PassScope::PassScope(Weights& weights, const PassKey& key) : weights_(without_failure(weights)) {
  weights_.begin(key);
}

PassScope::~PassScope() {
  if (!ended_) keep_failure(weights_, [&] { weights_.end(); });
  if (std::uncaught_exceptions() > exceptions_) weights_.forget_kept();
}

void PassScope::end() {
  weights_.throw_kept();
  ended_ = true;
  weights_.end();
}

BlockScope::BlockScope(Weights& weights, int block) : weights_(without_failure(weights)), block_(block) {
  weights_.acquire_block(block_);
}

BlockScope::~BlockScope() {
  keep_failure(weights_, [&] { weights_.release_block(block_); });
}

ModuleScope::ModuleScope(Weights& weights, ModuleId id)
    : weights_(without_failure(weights)), id_(id), view_(weights_.acquire(id_)) {}

ModuleScope::~ModuleScope() {
  keep_failure(weights_, [&] { weights_.release(id_); });
}

}  // namespace ferry::model
