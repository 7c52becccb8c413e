#include "model/dit/block.h"

#include <ATen/TensorOperators.h>

#include <vector>

#include "model/dit/attention.h"
#include "model/dit/linear.h"
#include "model/kernels/gate_residual.h"
#include "model/kernels/layer_norm.h"

namespace ferry::model {

namespace {

Modulation modulation_of(const Pass& pass, int block) {
  const ModuleScope scope(pass.weights, id_of(block, DitBlock::Modulation));
  const at::Tensor rows = scope[0].view({6, -1}) + pass.e0;
  return {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};
}

// One of a block's norms.
struct Norm {
  void (*kernel)(const kernels::LayerNorm&, Stream&);
  const at::Tensor& scale;
  const at::Tensor& shift;
  DType rounded_to = DType::F32;  // kernels::LayerNorm::norm_type
};

Norm attention_norm(const Modulation& m) {
  return {kernels::layer_norm_modulate, m.scale_attention, m.shift_attention};
}

Norm ffn_norm(const Modulation& m) { return {kernels::layer_norm_modulate, m.scale_ffn, m.shift_ffn}; }

const float* data_of(const PendingSum& sum) {
  return sum.gate.defined() ? sum.gate.data_ptr<float>() : nullptr;
}

// Does the pending x += gate * work.u, if any; then work.u = norm(x).
void add_then_norm(const Pass& pass, const at::Tensor& x, const std::optional<PendingSum>& pending,
                   const Norm& norm) {
  kernels::LayerNorm args = {.x = x.data_ptr<float>(),
                             .norm_type = norm.rounded_to,
                             .scale = norm.scale.data_ptr<float>(),
                             .shift = norm.shift.data_ptr<float>(),
                             .out = pass.work.u.data_ptr(),
                             .out_type = pass.runtime.compute,
                             .rows = x.size(0),
                             .dim = x.size(1),
                             .eps = static_cast<float>(pass.config.eps)};
  if (pending) {
    args.y = pass.work.u.data_ptr();
    args.y_type = pass.runtime.compute;
    args.gate = data_of(*pending);
  }
  norm.kernel(args, pass.stream());
}

// Does the sum alone, if no norm of the same x follows.
void add(const Pass& pass, const at::Tensor& x, const PendingSum& sum) {
  kernels::gate_residual({.x = x.data_ptr<float>(),
                          .y = pass.work.u.data_ptr(),
                          .y_type = pass.runtime.compute,
                          .gate = data_of(sum),
                          .out = x.data_ptr<float>(),
                          .rows = x.size(0),
                          .dim = x.size(1)},
                         pass.stream());
}

PendingSum self_attention_part(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                               const std::optional<PendingSum>& pending) {
  const TraceScope span = pass.span("attention", block);
  add_then_norm(pass, x, pending, attention_norm(m));
  self_attention(pass, block);
  return {m.gate_attention};
}

// Computed once for all branches, which then become copies of work.x[0], so the sum is done here.  The
// reference's residual stream and norm output are still in the compute type here.
void shared_self_attention(const Pass& pass, const Modulation& m) {
  const at::Tensor& x = pass.work.x[0];
  {
    const TraceScope span = pass.span("attention", 0);
    Norm norm = attention_norm(m);
    norm.rounded_to = pass.runtime.compute;
    add_then_norm(pass, x, std::nullopt, norm);
    self_attention(pass, 0);
    add(pass, x, {m.gate_attention});
  }
  for (std::size_t i = 1; i < pass.work.x.size(); ++i) pass.work.x[i].copy_(x);
}

PendingSum cross_attention_part(const Pass& pass, int block, const at::Tensor& x,
                                const std::optional<PendingSum>& pending, DitContext& branch) {
  const TraceScope span = pass.span("cross-attention", block);
  {
    const ModuleScope scope(pass.weights, id_of(block, DitBlock::Norm3));
    add_then_norm(pass, x, pending, {kernels::layer_norm_affine, scope[0], scope[1]});
  }
  cross_attention(pass, block, branch.text, branch.blocks.at(static_cast<std::size_t>(block)));
  return {};  // no gate
}

PendingSum feed_forward_part(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                             const PendingSum& pending) {
  const TraceScope span = pass.span("ffn", block);
  add_then_norm(pass, x, pending, ffn_norm(m));
  const at::Tensor hidden = pass.work.hidden(pass.config.ffn_dim);
  {
    const ModuleScope scope(pass.weights, id_of(block, DitBlock::Ffn0));
    linear_gelu_out(hidden, pass.work.u, scope.view(), pass.stream());
  }
  {
    const ModuleScope scope(pass.weights, id_of(block, DitBlock::Ffn2));
    linear_out(pass.work.u, hidden, scope.view());
  }
  pass.tap("ffn", block, pass.work.u);
  return {m.gate_ffn};
}

// True if the sum at a block's end is left to the next block: not if another branch needs work.u, or a tap
// reads x.
bool leaves_sum(const Pass& pass, int block) {
  return pass.work.x.size() == 1 && !pass.runtime.tap && block + 1 < pass.config.layers;
}

// The rest of a block after self-attention.
std::optional<PendingSum> finish_branch(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                                        const std::optional<PendingSum>& pending, DitContext& branch) {
  const PendingSum attended = cross_attention_part(pass, block, x, pending, branch);
  const PendingSum last = feed_forward_part(pass, block, x, m, attended);
  if (leaves_sum(pass, block)) return last;
  add(pass, x, last);
  pass.tap("block", block, x);
  return std::nullopt;
}

// The branches alternate, so that each one's exchanges hide behind the computation of the others.
void run_interleaved(const Pass& pass, int block, std::span<DitContext* const> branches,
                     const Modulation& m) {
  std::vector<at::Tensor> on_the_way(branches.size());
  {
    const TraceScope span = pass.span("attention", block);
    pass.exchange->soon(kSends * static_cast<int>(branches.size()));
    for (std::size_t i = 0; i < branches.size(); ++i) {
      add_then_norm(pass, pass.work.x[i], std::nullopt, attention_norm(m));
      send_heads(pass, block, i);
    }
    for (std::size_t i = 0; i < branches.size(); ++i) on_the_way[i] = attend_to_heads(pass, i);
  }
  for (std::size_t i = 0; i < branches.size(); ++i) {
    {
      const TraceScope span = pass.span("attention", block);
      receive_heads(pass, block, i, on_the_way[i]);
    }
    finish_branch(pass, block, pass.work.x[i], m, PendingSum{m.gate_attention}, *branches[i]);
  }
}

// A tap receives the branches of a block one after the other.
bool interleaves(const Pass& pass) {
  return pass.exchange != nullptr && pass.work.x.size() > 1 && !pass.runtime.tap;
}

}  // namespace

std::optional<PendingSum> run_first_block(const Pass& pass, std::span<DitContext* const> branches) {
  const BlockScope scope(pass.weights, 0);
  if (pass.exchange != nullptr) pass.exchange->enter(0);
  const Modulation m = modulation_of(pass, 0);
  shared_self_attention(pass, m);
  std::optional<PendingSum> left;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    left = finish_branch(pass, 0, pass.work.x[i], m, std::nullopt, *branches[i]);
  }
  return left;
}

std::optional<PendingSum> run_block(const Pass& pass, int block, std::span<DitContext* const> branches,
                                    const std::optional<PendingSum>& pending) {
  const BlockScope scope(pass.weights, block);
  if (pass.exchange != nullptr) pass.exchange->enter(block);
  const Modulation m = modulation_of(pass, block);
  std::optional<PendingSum> left;
  if (interleaves(pass)) {
    run_interleaved(pass, block, branches, m);
    return left;
  }
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const at::Tensor& x = pass.work.x[i];
    const PendingSum attended = self_attention_part(pass, block, x, m, pending);
    left = finish_branch(pass, block, x, m, attended, *branches[i]);
  }
  return left;
}

}  // namespace ferry::model
