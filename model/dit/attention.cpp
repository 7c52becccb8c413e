#include "model/dit/attention.h"

#include <ATen/ops/empty_like.h>

#include "model/dit/linear.h"
#include "model/kernels/heads.h"
#include "model/kernels/rms_norm_rope.h"

namespace ferry::model {

using parallel::ExchangeSlot;

namespace {

void project(const Pass& pass, int block, DitBlock module, const at::Tensor& in, const at::Tensor& out) {
  const ModuleScope scope(pass.weights, id_of(block, module));
  linear_out(out, in, scope.view());
}

struct Rotation {
  const float* table = nullptr;  // nullptr: none
  std::int64_t tokens = 0;
};

// Normalises, rotates, and writes in the order of `places`.
void norm_heads(const Pass& pass, ModuleId norm, const at::Tensor& in, const at::Tensor& out,
                const Rotation& rotation, const kernels::HeadPlace* places = nullptr) {
  const ModuleScope scope(pass.weights, norm);
  kernels::rms_norm_rope({.in = in.data_ptr(),
                          .out = out.data_ptr(),
                          .dtype = pass.runtime.compute,
                          .weight = scope[0].data_ptr<float>(),
                          .rope = rotation.table,
                          .places = places,
                          .tokens = in.size(0),
                          .rotated = rotation.tokens,
                          .heads = pass.config.heads,
                          .head_dim = pass.config.head_dim(),
                          .eps = static_cast<float>(pass.config.eps)},
                         pass.stream());
}

at::Tensor attend(const Pass& pass, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return pass.runtime.attention(q, k, v, pass.config.head_dim());
}

Rotation rotation_of(const Pass& pass) { return {pass.work.rope.data_ptr<float>(), pass.work.shard.real}; }

// One rank: all heads of all tokens are local.
void local_attention(const Pass& pass, int block) {
  const Workspace& work = pass.work;
  const at::Tensor v = work.values();
  const at::Tensor q = work.queries();
  const at::Tensor k = work.keys();
  project(pass, block, DitBlock::SelfV, work.u, v);
  project(pass, block, DitBlock::SelfQ, work.u, q);
  norm_heads(pass, id_of(block, DitBlock::SelfNormQ), q, q, rotation_of(pass));
  project(pass, block, DitBlock::SelfK, work.u, k);
  norm_heads(pass, id_of(block, DitBlock::SelfNormK), k, k, rotation_of(pass));
  pass.tap("self_attn.q", block, q);
  project(pass, block, DitBlock::SelfO, attend(pass, q, k, v), work.u);
  pass.tap("self_attn", block, work.u);
}

const kernels::HeadPlace* places_of(const Pass& pass) {
  return reinterpret_cast<const kernels::HeadPlace*>(pass.work.places.data_ptr<std::int32_t>());
}

kernels::Heads heads_of(const Pass& pass, const at::Tensor& in, const at::Tensor& out) {
  return {.in = in.data_ptr(),
          .out = out.data_ptr(),
          .places = places_of(pass),
          .tokens = pass.work.shard.per_rank,
          .heads = pass.config.heads,
          .head_bytes = pass.config.head_dim() * in.element_size()};
}

// `send` goes into its inbox on other ranks.
void start_exchange(const Pass& pass, ExchangeSlot slot, std::size_t branch, const at::Tensor& send) {
  const at::Tensor recv = pass.work.inbox(slot, branch);
  pass.exchange->start(slot, branch, recv.mutable_data_ptr(), send.const_data_ptr(), pass.work.u.nbytes());
}

void ulysses_attention(const Pass& pass, int block) {
  pass.exchange->soon(kSends);
  send_heads(pass, block, 0);
  const at::Tensor attended = attend_to_heads(pass, 0);
  receive_heads(pass, block, 0, attended);
}

void fill(const Pass& pass, int block, const at::Tensor& text, CrossKeyValue& cached) {
  {
    const ModuleScope scope(pass.weights, id_of(block, DitBlock::CrossK));
    cached.key = linear(text, scope.view());
  }
  norm_heads(pass, id_of(block, DitBlock::CrossNormK), cached.key, cached.key, {});
  const ModuleScope scope(pass.weights, id_of(block, DitBlock::CrossV));
  cached.value = linear(text, scope.view());
}

}  // namespace

// Queries are sent last: they share the values' outbox, which must be free again.
void send_heads(const Pass& pass, int block, std::size_t branch) {
  const Workspace& work = pass.work;
  const at::Tensor projected = work.projected();
  const at::Tensor values = work.outbox(ExchangeSlot::Value, branch);
  project(pass, block, DitBlock::SelfV, work.u, projected);
  kernels::pack_heads(heads_of(pass, projected, values), pass.stream());
  start_exchange(pass, ExchangeSlot::Value, branch, values);

  const at::Tensor keys = work.outbox(ExchangeSlot::Key, branch);
  project(pass, block, DitBlock::SelfK, work.u, projected);
  norm_heads(pass, id_of(block, DitBlock::SelfNormK), projected, keys, rotation_of(pass), places_of(pass));
  start_exchange(pass, ExchangeSlot::Key, branch, keys);

  const at::Tensor queries = work.outbox(ExchangeSlot::Query, branch);
  project(pass, block, DitBlock::SelfQ, work.u, projected);
  pass.exchange->finish(ExchangeSlot::Value, branch);
  norm_heads(pass, id_of(block, DitBlock::SelfNormQ), projected, queries, rotation_of(pass), places_of(pass));
  start_exchange(pass, ExchangeSlot::Query, branch, queries);
}

// Attends in the parts of row_plan.h.
at::Tensor attend_to_heads(const Pass& pass, std::size_t branch) {
  const Workspace& work = pass.work;
  const RowPlan& rows = work.rows;
  const at::Tensor queries = work.inbox(ExchangeSlot::Query, branch);
  const at::Tensor keys = work.inbox(ExchangeSlot::Key, branch).narrow(0, 0, work.shard.tokens);
  const at::Tensor values = work.inbox(ExchangeSlot::Value, branch).narrow(0, 0, work.shard.tokens);
  const at::Tensor out = at::empty_like(queries);
  const auto attend_part = [&](const at::Tensor& from, std::int64_t begin, std::int64_t out_begin,
                               std::int64_t count) {
    if (count == 0) return;
    pass.runtime.attention.into(out.narrow(0, out_begin, count), from.narrow(0, begin, count), keys, values,
                                pass.config.head_dim());
  };
  pass.exchange->finish(ExchangeSlot::Key, branch);
  attend_part(work.own_queries(branch), work.shard.per_rank - rows.first, rows.middle + rows.last,
              rows.first);
  pass.exchange->finish(ExchangeSlot::Query, branch);
  attend_part(queries, 0, 0, rows.middle);
  start_exchange(pass, ExchangeSlot::Back, branch, out);
  attend_part(queries, rows.middle, rows.middle, rows.last);
  return out;
}

void receive_heads(const Pass& pass, int block, std::size_t branch, const at::Tensor& attended) {
  const Workspace& work = pass.work;
  const at::Tensor heads = work.projected();
  const std::int64_t others = work.shard.padded - work.shard.per_rank;
  pass.exchange->finish(ExchangeSlot::Back, branch);
  kernels::Heads unpacked = heads_of(pass, work.inbox(ExchangeSlot::Back, branch), heads);
  unpacked.own = attended.narrow(0, others, work.shard.per_rank).data_ptr();
  unpacked.own_before = work.own_head;
  kernels::unpack_heads(unpacked, pass.stream());
  project(pass, block, DitBlock::SelfO, heads, work.u);
  pass.tap("self_attn", block, work.u);
}

void self_attention(const Pass& pass, int block) {
  pass.exchange == nullptr ? local_attention(pass, block) : ulysses_attention(pass, block);
}

void cross_attention(const Pass& pass, int block, const at::Tensor& text, CrossKeyValue& cached) {
  if (!cached.key.defined()) fill(pass, block, text, cached);
  const at::Tensor q = pass.work.projected();
  project(pass, block, DitBlock::CrossQ, pass.work.u, q);
  norm_heads(pass, id_of(block, DitBlock::CrossNormQ), q, q, {});
  project(pass, block, DitBlock::CrossO, attend(pass, q, cached.key, cached.value), pass.work.u);
  pass.tap("cross_attn", block, pass.work.u);
}

}  // namespace ferry::model
