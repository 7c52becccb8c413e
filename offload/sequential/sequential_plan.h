// The modules wrapped by a sequential stage, their settings, and the dtypes kept on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "model/weights.h"
#include "offload/options.h"
#include "offload/sequential/module_config.h"

namespace ferry::offload {

struct ModulePlan {
  model::ModuleId id;
  Wrapper wrapper = Wrapper::None;  // None: resident, or host-only in the network's spec
  ModuleConfig config;              // dtypes set if the user gave them
  bool overflow = false;            // has more than max_num_param parameters
  std::int64_t parameters = 0;
};

// One plan per module, in arena order (all_modules).
// Throws UserError: an invalid map or configuration, an overflow configuration without max_num_param or vice
// versa, a computation_dtype other than the network's.
std::vector<ModulePlan> plan_sequential(const model::NetworkSpec& spec, const Options& options);

// The dtype in which a module's tensor is kept if its state asks for `wanted`.  Tensors of another type than
// the network's compute type (the fp32 ones of a bf16 network) exist for precision: only WanAutoCastLayerNorm
// narrows them.
DType held_dtype(const model::TensorSpec& tensor, Wrapper wrapper, std::optional<DType> wanted,
                 DType compute);

// `spec` with the dtypes that the host copy keeps for such modules.
model::NetworkSpec stored_spec(const model::NetworkSpec& spec, const std::vector<ModulePlan>& modules);

}  // namespace ferry::offload
