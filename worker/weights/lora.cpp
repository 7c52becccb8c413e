#include "worker/weights/lora.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <vector>

#include "base/error.h"
#include "checkpoint/lora/lora_calls.h"
#include "model/tensor.h"
#include "offload/arena/layout.h"

namespace ferry::worker {
namespace {

using checkpoint::LoraPair;

// A pair and its factor.
struct Term {
  const LoraPair* pair = nullptr;
  double scale = 1.0;
};

// To this module, in order.
std::vector<Term> terms_of(const checkpoint::LoraStack& loras, const std::string& module) {
  std::vector<Term> terms;
  for (const checkpoint::LoraUse& lora : loras) {
    if (const LoraPair* pair = checkpoint::pair_in_calls(lora, module))
      terms.push_back({pair, lora.strength * pair->scale});
  }
  return terms;
}

at::Tensor on_host(const checkpoint::TensorEntry& entry, DType dtype) {
  const model::TensorSpec spec{.key = entry.key, .shape = entry.shape, .dtype = dtype};
  at::Tensor host = at::empty(entry.shape, at::TensorOptions().dtype(model::scalar_type(dtype)));
  checkpoint::read_tensor(entry, spec, static_cast<std::byte*>(host.mutable_data_ptr()));
  return host;
}

// In fp32, rounded to `dtype` last.
model::Lora joined(const std::vector<Term>& terms, DType dtype) {
  std::vector<at::Tensor> downs;
  std::vector<at::Tensor> ups;
  for (const Term& term : terms) {
    downs.push_back(on_host(term.pair->down, DType::F32));
    ups.push_back(on_host(term.pair->up, DType::F32).mul_(term.scale));
  }
  const at::ScalarType type = model::scalar_type(dtype);
  return {.down = at::cat(downs, 0).to(type), .up = at::cat(ups, 1).to(type), .scale = 1.0};
}

model::Lora host_lora(const std::vector<Term>& terms, DType dtype) {
  if (terms.size() > 1) return joined(terms, dtype);
  const Term& term = terms.front();
  return {.down = on_host(term.pair->down, dtype), .up = on_host(term.pair->up, dtype), .scale = term.scale};
}

}  // namespace

void check_wrappers(const checkpoint::LoraStack& loras, const offload::StagePlan& plan) {
  if (plan.kind != offload::StrategyKind::Sequential) return;
  for (const offload::ModulePlan& module : plan.modules) {
    const std::string& name = model::module_of(plan.arena.spec, module.id).name;
    if (module.wrapper != offload::Wrapper::AutoWrappedModule) continue;
    for (const checkpoint::LoraUse& lora : loras) {
      if (checkpoint::pair_in_calls(lora, name) == nullptr) continue;
      throw UserError(plan.stage() + ".offload.module_map: " + lora.file->path() + " changes " + name +
                      ", and of the wrappers only AutoWrappedLinear adds a LoRA");
    }
  }
}

std::map<std::string, model::Lora> device_loras(const checkpoint::LoraStack& loras,
                                                const model::NetworkSpec& spec, Device& device) {
  std::map<std::string, model::Lora> result;
  for (const model::ModuleId id : offload::all_modules(spec)) {
    const model::ModuleSpec& module = model::module_of(spec, id);
    const std::vector<Term> terms = terms_of(loras, module.name);
    if (terms.empty()) continue;
    model::Lora& lora = result[module.name] = host_lora(terms, module.tensors.at(0).dtype);
    lora.down = lora.down.to(model::torch_device(device));
    lora.up = lora.up.to(model::torch_device(device));
  }
  return result;
}

}  // namespace ferry::worker
