// The Wan2.1 diffusion transformer (text to video), wan21.md section 2, precision profile A' (spec.h).
//
// Tokens: the latent [C, F, h, w] is cut into patches (1, 2, 2); token (f, y, x) has index (f * h/2 + y) *
// w/2 + x.  With a Ulysses group of P ranks each rank computes a contiguous shard of ceil(L / P) tokens and
// attends with floor or ceil of H / P heads; rows past L are padding: they start as zeros, are never keys,
// and are dropped at the end.  The residual stream is fp32 from the first gated residual on; linears and
// attention run in the compute type.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/device.h"
#include "base/stream_timer.h"
#include "base/trace.h"
#include "model/dit/config.h"
#include "model/dit/spec.h"
#include "model/kernels/attention.h"
#include "model/tap.h"
#include "model/weights.h"
#include "parallel/exchange_gate.h"
#include "parallel/group.h"

namespace ferry::parallel {
class Ticks;
}

namespace ferry::model {

struct DitRuntime {
  Device* device = nullptr;
  parallel::Group* ulysses = nullptr;      // nullptr: one rank
  Stream* exchange_stream = nullptr;       // nullptr: exchanges use the compute stream
  parallel::ExchangeGate* gate = nullptr;  // optional; notified around each exchange
  DType compute = DType::BF16;             // as given to dit_spec
  Tap tap = nullptr;                       // optional; receives intermediate results
  Trace* trace = nullptr;                  // optional; lanes compute and exchange
  parallel::Ticks* ticks = nullptr;        // optional; says where this rank is
  // Optional; called when a block has been queued on the compute stream.
  std::function<void(int block)> after_block{};
  // Optional; hears of an exception before the pass ends, for which the weights may wait for the device.
  std::function<void(const std::exception&)> failed{};
  kernels::Attention attention{};  // of all layers, self and cross
};

// Keys and values of one cross-attention: [text_len, dim], compute type, keys normalised.
struct CrossKeyValue {
  at::Tensor key;
  at::Tensor value;
};

// One guidance branch: the prompt after the text MLP, and the keys and values of each block's
// cross-attention.  These depend only on the prompt: the first forward fills them, later ones skip the
// modules cross_attn.k, norm_k and v.
struct DitContext {
  at::Tensor text;                    // [text_len, dim], compute type
  std::vector<CrossKeyValue> blocks;  // one per layer, undefined until the first forward
};

class Dit {
 public:
  // `weights` must serve dit_spec(config, runtime.compute); it and everything that `runtime` points to must
  // outlive this object.
  // Throws std::invalid_argument if the group has more ranks than there are heads.
  Dit(const DitConfig& config, Weights& weights, DitRuntime runtime);
  ~Dit();
  Dit(Dit&&) noexcept;

  // The text MLP (section 2.5).  `context` is [Lt, text_dim], any float type, 1 <= Lt <= text_len, on any
  // device; it is zero-padded to text_len rows.  One pass {"context", 1} over head modules only.
  // Throws std::invalid_argument for another shape.
  DitContext encode_context(const at::Tensor& context);

  // One pass {"forward", branches.size()}. Collective over the Ulysses group: equal shapes and branches.
  // Queued on the device's compute stream and on `exchange_stream`.  On CUDA the host does not wait for the
  // device after the first forward of a shape; with a group it waits only until NCCL has launched each
  // exchange. n branches together give the same bits as each alone.
  // Throws std::invalid_argument for other shapes and types, and if there is no branch.
  std::vector<at::Tensor> forward(const at::Tensor& latent, double timestep,
                                  std::span<DitContext* const> branches);

  // Sets the tap for later forwards and contexts; empty: none.
  void set_tap(Tap tap);

  // Time for which the compute stream has waited for exchanges so far; a pass is a forward, the places are
  // its blocks and then the gather of the result.  Empty for one rank.  Not during a forward.
  StreamTimes exchange_waits();

 private:
  std::vector<at::Tensor> run(const at::Tensor& latent, double timestep,
                              std::span<DitContext* const> branches);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry::model
