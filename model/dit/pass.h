// State shared by the parts of one forward.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "model/dit/dit.h"
#include "model/dit/workspace.h"
#include "parallel/exchange.h"

namespace ferry::model {

struct Pass {
  const DitConfig& config;
  Weights& weights;
  const DitRuntime& runtime;
  const Workspace& work;
  parallel::HeadExchange* exchange;  // nullptr: one rank
  at::Tensor e;                      // time embedding [1, C] fp32
  at::Tensor e0;                     // its projection [6, C] fp32

  Stream& stream() const { return runtime.device->compute(); }
  std::int64_t ranks() const { return exchange == nullptr ? 1 : runtime.ulysses->size(); }
  // A span on the compute lane for the life of the result.
  TraceScope span(const char* name, int block = -1) const {
    return TraceScope(runtime.trace, Lane::Compute, name, stream(), block);
  }
  void tap(std::string_view name, int block, const at::Tensor& value) const {
    if (runtime.tap) runtime.tap(name, block, value);
  }
};

// The six modulation rows of a block, in this order (wan21.md section 2.7); [C] fp32 each.
struct Modulation {
  at::Tensor shift_attention, scale_attention, gate_attention;
  at::Tensor shift_ffn, scale_ffn, gate_ffn;
};

}  // namespace ferry::model
