// Tensor views of memory that holds a block in the arena's layout.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "model/weights.h"
#include "offload/arena/layout.h"
#include "offload/device_account.h"

namespace ferry::offload {

// One list per module of a block; empty for host-only modules.
using BlockViews = std::vector<std::vector<at::Tensor>>;

// Views of a copy of `block` that starts at `base`, in device or host memory.  Made once per place; this
// allocates host memory for the tensor headers.
BlockViews make_views(const BlockPlace& block, std::byte* base, at::Device device);
std::vector<at::Tensor> make_views(const ModulePlace& module, std::byte* base, at::Device device);

// Views of the arena itself, for host-only modules and other host reads.
class HostViews {
 public:
  HostViews(const model::NetworkSpec& stored, const ArenaLayout& layout, std::byte* arena);
  std::span<const at::Tensor> operator[](model::ModuleId id) const;
  // Views of a whole block, head or tail.
  const BlockViews& block(int block) const;

 private:
  BlockViews head_;
  std::vector<BlockViews> blocks_;
  BlockViews tail_;
};

// The LoRA additions to the linears of one stage, by module.
class Loras {
 public:
  Loras(const model::NetworkSpec& spec, DeviceAccount& account);
  ~Loras();
  Loras(const Loras&) = delete;
  Loras& operator=(const Loras&) = delete;
  // Replaces all additions.  Throws std::invalid_argument for a name that is not a linear of the network, or
  // shapes that do not fit its weight.
  void set(std::map<std::string, model::Lora> loras);
  const model::Lora* find(model::ModuleId id) const;

 private:
  const model::NetworkSpec& spec_;
  DeviceAccount& account_;
  std::map<std::pair<int, int>, model::Lora> by_module_;
  std::size_t bytes_ = 0;
};

}  // namespace ferry::offload
