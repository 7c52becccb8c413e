#include "offload/transport/resident.h"

#include <algorithm>
#include <stdexcept>

#include "model/tensor.h"

namespace ferry::offload {

const Resident::Block* Resident::find(int block) const {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                  [block](const Block& each) { return each.index == block; });
  return found == blocks_.end() ? nullptr : &*found;
}

void Resident::add(int block, Link& link) {
  if (has(block)) return;
  const BlockPlace& place = block_of(arena_.layout(), block);
  Block added{.index = block,
              .memory = AccountedMemory(device_, account_, Category::Resident, place.blob.bytes),
              .views = {}};
  added.views = make_views(place, added.memory.data(), model::torch_device(device_));
  link.copy(device_.compute(), added.memory.data(), arena_.at(place.blob), place.blob.bytes);
  blocks_.push_back(std::move(added));
}

std::span<const at::Tensor> Resident::operator[](model::ModuleId id) const {
  const Block* block = find(id.block);
  if (block == nullptr) throw std::invalid_argument("block " + std::to_string(id.block) + " is not resident");
  return block->views.at(static_cast<std::size_t>(id.module));
}

}  // namespace ferry::offload
