#include "model/vae/causal_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace ferry::model::vae {

namespace {

constexpr std::int64_t kPast = 2;

std::pair<int, int> key_of(ModuleId id) { return {id.block, id.module}; }

}  // namespace

at::Tensor CausalCache::open(ModuleId id, at::IntArrayRef frames, const at::TensorOptions& options) const {
  const at::Tensor buffer = at::empty({kPast + frames[0], frames[1], frames[2], frames[3]}, options);
  const auto found = past_.find(key_of(id));
  const std::int64_t known = found == past_.end() ? 0 : found->second.known;
  const std::int64_t unknown = kPast - known;
  if (unknown > 0) buffer.narrow(0, 0, unknown).zero_();
  if (known > 0) buffer.narrow(0, unknown, known).copy_(found->second.frames.narrow(0, unknown, known));
  return buffer;
}

void CausalCache::close(ModuleId id, const at::Tensor& input) {
  const std::int64_t t = input.size(0);
  Past& past = past_[key_of(id)];
  if (!past.frames.defined()) {
    past.frames = at::empty({kPast, input.size(1), input.size(2), input.size(3)}, input.options());
  }
  past.known = std::min(kPast, t);
  past.frames.narrow(0, kPast - past.known, past.known).copy_(input.narrow(0, t - past.known, past.known));
}

}  // namespace ferry::model::vae
