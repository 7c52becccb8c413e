#include "worker/weights/lora.h"

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "model/tensor.h"
#include "offload/arena/layout.h"

namespace ferry::worker {
namespace {

at::Tensor on_device(const checkpoint::TensorEntry& entry, DType dtype, const Device& device) {
  const model::TensorSpec spec{.key = entry.key, .shape = entry.shape, .dtype = dtype};
  const at::Tensor host = at::empty(entry.shape, at::TensorOptions().dtype(model::scalar_type(dtype)));
  checkpoint::read_tensor(entry, spec, static_cast<std::byte*>(host.mutable_data_ptr()));
  return host.to(model::torch_device(device));
}

}  // namespace

void check_wrappers(const checkpoint::LoraFile& lora, const offload::StagePlan& plan) {
  if (plan.kind != offload::StrategyKind::Sequential) return;
  for (const offload::ModulePlan& module : plan.modules) {
    const std::string& name = model::module_of(plan.arena.spec, module.id).name;
    if (module.wrapper != offload::Wrapper::AutoWrappedModule || !lora.pairs().contains(name)) continue;
    throw UserError(plan.stage() + ".offload.module_map: " + lora.path() + " changes " + name +
                    ", and of the wrappers only AutoWrappedLinear adds a LoRA");
  }
}

std::map<std::string, model::Lora> device_loras(const checkpoint::LoraFile& lora,
                                                const model::NetworkSpec& spec, double strength,
                                                Device& device) {
  std::map<std::string, model::Lora> loras;
  for (const model::ModuleId id : offload::all_modules(spec)) {
    const model::ModuleSpec& module = model::module_of(spec, id);
    const auto pair = lora.pairs().find(module.name);
    if (pair == lora.pairs().end()) continue;
    const DType dtype = module.tensors.at(0).dtype;
    loras[module.name] = {.down = on_device(pair->second.down, dtype, device),
                          .up = on_device(pair->second.up, dtype, device),
                          .scale = strength * pair->second.scale};
  }
  return loras;
}

}  // namespace ferry::worker
