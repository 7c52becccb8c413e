// Which modules a sequential stage wraps, how, and what the host keeps of them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/weights.h"
#include "offload/options.h"
#include "offload/sequential/module_config.h"

namespace ferry::offload {

struct ModulePlan {
  model::ModuleId id;
  Wrapper wrapper = Wrapper::None;  // None: resident, or kept on the host by the network's wish
  ModuleConfig config;              // dtypes filled in where the user gave them
  bool overflow = false;            // has more than max_num_param parameters
  std::int64_t parameters = 0;
};

// One plan per module, in arena order (all_modules).
// Throws UserError: a bad map or configuration, an overflow configuration without max_num_param or the other
// way round, a computation_dtype that is not the network's.
std::vector<ModulePlan> plan_sequential(const model::NetworkSpec& spec, const Options& options);

// The dtype in which a module's tensor is held when its state asks for `wanted`.  Tensors of another type
// than the network computes in (the fp32 list of a bf16 network) are there for precision: only
// WanAutoCastLayerNorm keeps them in a narrower one.
DType held_dtype(const model::TensorSpec& tensor, Wrapper wrapper, std::optional<DType> wanted,
                 DType compute);

// `spec` with the dtypes that the host copy keeps of such modules.
model::NetworkSpec stored_spec(const model::NetworkSpec& spec, const std::vector<ModulePlan>& modules);

}  // namespace ferry::offload
