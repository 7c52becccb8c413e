#include "offload/arena/views.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <stdexcept>

#include "model/tensor.h"

namespace ferry::offload {

namespace {

BlockViews host_views(const BlockPlace& block, const Blob& host, std::byte* arena) {
  BlockViews views;
  for (const ModulePlace& module : block.modules) {
    std::byte* base = arena + (module.host_only ? host.offset : block.blob.offset);
    views.push_back(make_views(module, base, at::kCPU));
  }
  return views;
}

void check_shapes(const std::string& name, const model::ModuleSpec& module, const model::Lora& lora) {
  const std::vector<std::int64_t>& weight = module.tensors.at(0).shape;
  const bool fits = lora.down.dim() == 2 && lora.up.dim() == 2 && lora.down.size(1) == weight.at(1) &&
                    lora.up.size(0) == weight.at(0) && lora.up.size(1) == lora.down.size(0);
  if (!fits) throw std::invalid_argument("LoRA of " + name + " does not have the shapes of its weight");
}

}  // namespace

std::vector<at::Tensor> make_views(const ModulePlace& module, std::byte* base, at::Device device) {
  std::vector<at::Tensor> views;
  for (const TensorPlace& tensor : module.tensors) {
    const auto options = at::TensorOptions().dtype(model::scalar_type(tensor.dtype)).device(device);
    views.push_back(at::for_blob(base + tensor.offset, tensor.format.shape)
                        .strides(tensor.format.strides)
                        .target_device(device)
                        .options(options)
                        .make_tensor());
  }
  return views;
}

BlockViews make_views(const BlockPlace& block, std::byte* base, at::Device device) {
  BlockViews views;
  for (const ModulePlace& module : block.modules) {
    views.push_back(module.host_only ? std::vector<at::Tensor>() : make_views(module, base, device));
  }
  return views;
}

HostViews::HostViews(const model::NetworkSpec& stored, const ArenaLayout& layout, std::byte* arena)
    : head_(host_views(layout.head, layout.host, arena)), tail_(host_views(layout.tail, layout.host, arena)) {
  blocks_.reserve(stored.blocks.size());
  for (const BlockPlace& block : layout.blocks) blocks_.push_back(host_views(block, layout.host, arena));
}

const BlockViews& HostViews::block(int block) const {
  if (block == model::ModuleId::kHead) return head_;
  if (block == model::ModuleId::kTail) return tail_;
  return blocks_.at(static_cast<std::size_t>(block));
}

std::span<const at::Tensor> HostViews::operator[](model::ModuleId id) const {
  return block(id.block).at(static_cast<std::size_t>(id.module));
}

Loras::Loras(const model::NetworkSpec& spec, DeviceAccount& account) : spec_(spec), account_(account) {}

Loras::~Loras() { account_.give(Category::Lora, bytes_); }

void Loras::set(std::map<std::string, model::Lora> loras) {
  std::map<std::pair<int, int>, model::Lora> found;
  std::size_t bytes = 0;
  for (const model::ModuleId id : all_modules(spec_)) {
    const model::ModuleSpec& module = model::module_of(spec_, id);
    const auto lora = loras.find(module.name);
    if (lora == loras.end() || module.kind != model::ModuleKind::Linear) continue;
    check_shapes(module.name, module, lora->second);
    bytes += lora->second.down.nbytes() + lora->second.up.nbytes();
    found[{id.block, id.module}] = std::move(lora->second);
    loras.erase(lora);
  }
  if (!loras.empty()) {
    throw std::invalid_argument("LoRA of " + loras.begin()->first + ": not a linear of " + spec_.name);
  }
  account_.give(Category::Lora, bytes_);
  account_.take(Category::Lora, bytes);
  bytes_ = bytes;
  by_module_ = std::move(found);
}

const model::Lora* Loras::find(model::ModuleId id) const {
  if (by_module_.empty()) return nullptr;
  const auto found = by_module_.find({id.block, id.module});
  return found == by_module_.end() ? nullptr : &found->second;
}

}  // namespace ferry::offload
