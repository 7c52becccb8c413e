// The Wan2.1 diffusion transformer (text to video), wan21.md section 2, precision profile A' (spec.h).
//
// Tokens: the latent [C, F, h, w] is cut into patches (1, 2, 2); token (f, y, x) has the index
// (f * h/2 + y) * w/2 + x.  With a Ulysses group of P ranks each rank computes a contiguous shard of
// ceil(L / P) tokens and attends with floor or ceil of H / P heads; rows past L are padding: they enter as
// zeros, are never keys, and are dropped at the end.  The residual stream is fp32 from the first gated
// residual on; linears and attention run in the compute type.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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

namespace ferry::model {

struct DitRuntime {
  Device* device = nullptr;
  parallel::Group* ulysses = nullptr;      // nullptr: one rank
  Stream* exchange_stream = nullptr;       // nullptr: exchanges run on the compute stream
  parallel::ExchangeGate* gate = nullptr;  // told of each exchange; nullptr: nobody
  DType compute = DType::BF16;             // as given to dit_spec
  Tap tap = nullptr;                       // empty: no tap
  Trace* trace = nullptr;                  // lanes compute and exchange; nullptr: no trace
  kernels::Attention attention{};          // of all layers, self and cross
};

// Keys and values of one cross-attention: [text_len, dim], compute type, keys normalised.
struct CrossKeyValue {
  at::Tensor key;
  at::Tensor value;
};

// One guidance branch: the prompt after the text MLP, and the keys and values that each block's
// cross-attention makes of it.  Those depend on the prompt alone: the first forward fills them, later ones
// skip the modules cross_attn.k, norm_k and v.
struct DitContext {
  at::Tensor text;                    // [text_len, dim], compute type
  std::vector<CrossKeyValue> blocks;  // one per layer, undefined until the first forward
};

class Dit {
 public:
  // `weights` must serve dit_spec(config, runtime.compute) and, like what `runtime` points to, outlive this.
  // Throws std::invalid_argument when the group has more ranks than there are heads.
  Dit(const DitConfig& config, Weights& weights, DitRuntime runtime);
  ~Dit();
  Dit(Dit&&) noexcept;

  // The text MLP (section 2.5).  `context` is [Lt, text_dim], any float type, 1 <= Lt <= text_len, on any
  // device; it is zero-padded to text_len rows.  One pass {"context", 1} over head modules only.
  // Throws std::invalid_argument for another shape.
  DitContext encode_context(const at::Tensor& context);

  // One evaluation per branch at the same latent and time; the branches go through each block together.
  //   latent    [in_channels, F, h, w] fp32 on the device, contiguous; h and w even
  //   timestep  0 .. 1000, not rounded
  //   returns   for each branch [out_channels, F, h, w] fp32 on the device, on every rank
  // One pass {"forward", branches.size()}.  Collective over the Ulysses group: equal shapes and branches.
  // Queued on the device's compute stream and on `exchange_stream`; on CUDA the host waits for no work of the
  // device once a shape was seen before, with a group only for NCCL to launch each exchange.  n branches
  // together give the bits that each gives alone. Throws std::invalid_argument for other shapes and types,
  // and when there is no branch.
  std::vector<at::Tensor> forward(const at::Tensor& latent, double timestep,
                                  std::span<DitContext* const> branches);

  // Shown what forwards and contexts compute from now on; empty: nothing is shown.
  void set_tap(Tap tap);

  // How long the compute stream has waited for exchanges so far; a pass is a forward, the places are its
  // layers and last the gather of the result.  Empty for one rank.  Not in a forward.
  StreamTimes exchange_waits();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry::model
