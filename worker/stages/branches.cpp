#include "worker/stages/branches.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <span>

namespace ferry::worker {

Branches::Branches(const StageInput& input, model::Dit& dit, const std::vector<at::Tensor>& contexts)
    : rank_(*input.rank), dit_(dit), mode_(input.options->parallel.cfg) {
  split_ = contexts.size() == 2 && rank_.mesh.cfg == 2;
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    if (!split_ || static_cast<int>(i) == rank_.mesh.cfg_index)
      contexts_.push_back(dit_.encode_context(contexts[i]));
  }
  for (model::DitContext& context : contexts_) pointers_.push_back(&context);
}

std::vector<at::Tensor> Branches::operator()(const at::Tensor& latent, double timestep) {
  if (split_) return exchange(dit_.forward(latent, timestep, pointers_)[0]);
  if (mode_ != parallel::CfgMode::Serial) return dit_.forward(latent, timestep, pointers_);
  std::vector<at::Tensor> velocities;
  for (model::DitContext*& context : pointers_) {
    velocities.push_back(dit_.forward(latent, timestep, std::span(&context, 1))[0]);
  }
  return velocities;
}

// Each half of the ranks has one branch; all receive both.
std::vector<at::Tensor> Branches::exchange(const at::Tensor& mine) {
  const at::Tensor send = mine.contiguous();
  std::vector<std::int64_t> shape = send.sizes().vec();
  shape.insert(shape.begin(), rank_.groups.cfg->size());
  const at::Tensor both = at::empty(shape, send.options());
  rank_.groups.cfg->all_gather(both.mutable_data_ptr(), send.const_data_ptr(), send.nbytes(),
                               rank_.device->compute());
  return {both[0], both[1]};
}

at::Tensor combined(const std::vector<at::Tensor>& velocities, double guidance) {
  if (velocities.size() == 1) return velocities[0];
  return velocities[1] + (velocities[0] - velocities[1]) * guidance;
}

}  // namespace ferry::worker
