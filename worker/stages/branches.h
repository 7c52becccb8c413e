// The guidance branches of one video, distributed over the ranks by options.parallel.cfg.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/dit/dit.h"
#include "parallel/options.h"
#include "worker/rank.h"
#include "worker/stages/stages.h"

namespace ferry::worker {

class Branches {
 public:
  // Runs the contexts, conditional first, through the text MLP. The arguments must outlive this object.
  Branches(const StageInput& input, model::Dit& dit, const std::vector<at::Tensor>& contexts);
  Branches(const Branches&) = delete;
  Branches& operator=(const Branches&) = delete;

  // Computes the velocities at one latent and time, conditional first, on every rank.  Collective.
  std::vector<at::Tensor> operator()(const at::Tensor& latent, double timestep);

  // Branches that this rank computes: all, or one of two.
  const std::vector<model::DitContext>& mine() const { return contexts_; }
  // Index of the first of them, 0 for the conditional one.
  int first() const { return split_ ? rank_.mesh.cfg_index : 0; }

 private:
  std::vector<at::Tensor> exchange(const at::Tensor& mine);

  Rank& rank_;
  model::Dit& dit_;
  parallel::CfgMode mode_;
  bool split_ = false;
  std::vector<model::DitContext> contexts_;
  std::vector<model::DitContext*> pointers_;
};

// v = vu + guidance * (vc - vu) in fp32; one velocity is the result itself.
at::Tensor combined(const std::vector<at::Tensor>& velocities, double guidance);

}  // namespace ferry::worker
