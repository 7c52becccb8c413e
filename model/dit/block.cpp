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

// Everything but scale and shift of a norm from x to work.u.
kernels::LayerNorm norm_of(const Pass& pass, const at::Tensor& x, DType norm_type = DType::F32) {
  return {.x = x.data_ptr<float>(),
          .norm_type = norm_type,
          .out = pass.work.u.data_ptr(),
          .out_type = pass.runtime.compute,
          .rows = x.size(0),
          .dim = x.size(1),
          .eps = static_cast<float>(pass.config.eps)};
}

const float* gate_data(const at::Tensor& gate) { return gate.defined() ? gate.data_ptr<float>() : nullptr; }

// The same after x += work.u * gate; an undefined gate is 1.
kernels::LayerNorm norm_after(const Pass& pass, const at::Tensor& x, const at::Tensor& gate) {
  kernels::LayerNorm norm = norm_of(pass, x);
  norm.y = pass.work.u.data_ptr();
  norm.y_type = pass.runtime.compute;
  norm.gate = gate_data(gate);
  return norm;
}

void modulate(const Pass& pass, kernels::LayerNorm norm, const at::Tensor& scale, const at::Tensor& shift) {
  norm.scale = scale.data_ptr<float>();
  norm.shift = shift.data_ptr<float>();
  kernels::layer_norm_modulate(norm, pass.stream());
}

// x += work.u * gate.
void add_to(const Pass& pass, const at::Tensor& x, const at::Tensor& gate) {
  kernels::gate_residual({.x = x.data_ptr<float>(),
                          .y = pass.work.u.data_ptr(),
                          .y_type = pass.runtime.compute,
                          .gate = gate_data(gate),
                          .out = x.data_ptr<float>(),
                          .rows = x.size(0),
                          .dim = x.size(1)},
                         pass.stream());
}

void norm_for_attention(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                        const DeferredSum& deferred) {
  const DType norm_type = block == 0 ? pass.runtime.compute : DType::F32;
  modulate(pass, deferred.gate.defined() ? norm_after(pass, x, deferred.gate) : norm_of(pass, x, norm_type),
           m.scale_attention, m.shift_attention);
}

// What attention gives stays in work.u, for the next norm to add on its way.  The first block's is added
// here: the branches are copies of x from then on.
void attend_to_itself(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                      const DeferredSum& deferred) {
  const TraceScope span = pass.span("attention", block);
  norm_for_attention(pass, block, x, m, deferred);
  self_attention(pass, block);
  if (block == 0) add_to(pass, x, m.gate_attention);
}

void attend_to_text(const Pass& pass, int block, kernels::LayerNorm norm, DitContext& branch) {
  const TraceScope span = pass.span("cross-attention", block);
  {
    const ModuleScope scope(pass.weights, id_of(block, DitBlock::Norm3));
    norm.scale = scope[0].data_ptr<float>();
    norm.shift = scope[1].data_ptr<float>();
    kernels::layer_norm_affine(norm, pass.stream());
  }
  cross_attention(pass, block, branch.text, branch.blocks.at(static_cast<std::size_t>(block)));
}

void feed_forward(const Pass& pass, int block, const at::Tensor& x, const Modulation& m) {
  const TraceScope span = pass.span("ffn", block);
  modulate(pass, norm_after(pass, x, {}), m.scale_ffn, m.shift_ffn);
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
}

// The sum of a block's end waits for the next block's norm, which reads x anyway.  Not where another branch
// needs work.u, or a tap reads x.
bool defers_sum(const Pass& pass, int block) {
  return pass.work.x.size() == 1 && !pass.runtime.tap && block + 1 < pass.config.layers;
}

// The rest of a block, after attention.
void finish_branch(const Pass& pass, int block, const at::Tensor& x, const Modulation& m,
                   DitContext& branch) {
  attend_to_text(pass, block, block == 0 ? norm_of(pass, x) : norm_after(pass, x, m.gate_attention), branch);
  feed_forward(pass, block, x, m);
  if (defers_sum(pass, block)) return;
  add_to(pass, x, m.gate_ffn);
  pass.tap("block", block, x);
}

// The branches take turns, so that each one's exchanges hide behind what the others compute.
void run_interleaved(const Pass& pass, int block, std::span<DitContext* const> branches,
                     const Modulation& m) {
  std::vector<at::Tensor> on_the_way(branches.size());
  {
    const TraceScope span = pass.span("attention", block);
    pass.exchange->soon(kSends * static_cast<int>(branches.size()));
    for (std::size_t i = 0; i < branches.size(); ++i) {
      norm_for_attention(pass, block, pass.work.x[i], m, {});
      send_heads(pass, block, i);
    }
    for (std::size_t i = 0; i < branches.size(); ++i) on_the_way[i] = attend_to_heads(pass, i);
  }
  for (std::size_t i = 0; i < branches.size(); ++i) {
    {
      const TraceScope span = pass.span("attention", block);
      receive_heads(pass, block, i, on_the_way[i]);
    }
    finish_branch(pass, block, pass.work.x[i], m, *branches[i]);
  }
}

}  // namespace

DeferredSum run_block(const Pass& pass, int block, std::span<DitContext* const> branches,
                      const DeferredSum& deferred) {
  const BlockScope scope(pass.weights, block);
  if (pass.exchange != nullptr) pass.exchange->enter(block);
  const Modulation m = modulation_of(pass, block);
  if (block == 0) {
    attend_to_itself(pass, block, pass.work.x[0], m, deferred);
    for (std::size_t i = 1; i < branches.size(); ++i) pass.work.x[i].copy_(pass.work.x[0]);
  }
  // A tap sees each branch of a block whole, one after the other.
  if (block != 0 && pass.exchange != nullptr && branches.size() > 1 && !pass.runtime.tap) {
    run_interleaved(pass, block, branches, m);
    return {};
  }
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const at::Tensor& x = pass.work.x[i];
    if (block != 0) attend_to_itself(pass, block, x, m, deferred);
    finish_branch(pass, block, x, m, *branches[i]);
  }
  return {defers_sum(pass, block) ? m.gate_ffn : at::Tensor()};
}

}  // namespace ferry::model
