#include "offload/sequential/sequential_plan.h"

#include "base/error.h"
#include "model/shape.h"
#include "offload/arena/layout.h"

namespace ferry::offload {

namespace {

model::ModuleSpec& mutable_module(model::NetworkSpec& spec, model::ModuleId id) {
  return const_cast<model::ModuleSpec&>(model::module_of(spec, id));
}

void check_computation(const ModuleConfig& config, DType compute, const std::string& option) {
  if (!config.computation.dtype || *config.computation.dtype == compute) return;
  throw UserError(option + ".computation_dtype: " + std::string(name_of(*config.computation.dtype)) +
                  ", but the network computes in " + std::string(name_of(compute)) + " (model.dtype)");
}

}  // namespace

DType held_dtype(const model::TensorSpec& tensor, Wrapper wrapper, std::optional<DType> wanted,
                 DType compute) {
  if (!wanted || wrapper == Wrapper::None) return tensor.dtype;
  const bool narrower = size_of(*wanted) < size_of(tensor.dtype);
  if (narrower && tensor.dtype != compute && wrapper != Wrapper::WanAutoCastLayerNorm) return tensor.dtype;
  return *wanted;
}

std::vector<ModulePlan> plan_sequential(const model::NetworkSpec& spec, const Options& options) {
  const std::string option = spec.name + ".offload.";
  const ModuleMap map = parse_module_map(options.module_map, option + "module_map");
  const ModuleConfig usual = parse_module_config(options.module_config, option + "module_config");
  const ModuleConfig overflow =
      parse_module_config(options.overflow_module_config, option + "overflow_module_config");
  if (options.max_num_param.has_value() == options.overflow_module_config.empty()) {
    throw UserError(option + "max_num_param and " + option + "overflow_module_config need each other");
  }
  check_computation(usual, spec.compute, option + "module_config");
  check_computation(overflow, spec.compute, option + "overflow_module_config");
  std::vector<ModulePlan> plans;
  for (const model::ModuleId id : all_modules(spec)) {
    const model::ModuleSpec& module = model::module_of(spec, id);
    ModulePlan plan;
    plan.id = id;
    for (const model::TensorSpec& tensor : module.tensors) plan.parameters += model::numel(tensor.shape);
    const auto wrapper = map.find(module.kind);
    if (wrapper != map.end() && !module.host_only) plan.wrapper = wrapper->second;
    plan.overflow = options.max_num_param && plan.parameters > *options.max_num_param;
    plan.config = plan.overflow ? overflow : usual;
    plans.push_back(plan);
  }
  return plans;
}

model::NetworkSpec stored_spec(const model::NetworkSpec& spec, const std::vector<ModulePlan>& modules) {
  model::NetworkSpec stored = spec;
  for (const ModulePlan& plan : modules) {
    for (model::TensorSpec& tensor : mutable_module(stored, plan.id).tensors) {
      tensor.dtype = held_dtype(tensor, plan.wrapper, plan.config.offload.dtype, spec.compute);
    }
  }
  return stored;
}

}  // namespace ferry::offload
