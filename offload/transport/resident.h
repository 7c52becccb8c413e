// Resident blocks on the device.
#pragma once

#include <vector>

#include "offload/arena/arena.h"
#include "offload/arena/views.h"
#include "offload/device_account.h"
#include "offload/transport/link.h"

namespace ferry::offload {

// Device copies of some blocks (head and tail included) of an arena, each in separate memory.
class Resident {
 public:
  Resident(const NodeArena& arena, Device& device, DeviceAccount& account)
      : arena_(arena), device_(device), account_(account) {}
  // Allocates memory for `block` (index, kHead or kTail) and queues its copy on the compute stream; does
  // nothing if it is already resident.  Throws OutOfMemory.
  void add(int block, Link& link);
  // Drop one, or all.  No queued work may still use them.
  void remove(int block) {
    std::erase_if(blocks_, [=](const Block& each) { return each.index == block; });
  }
  void clear() { blocks_.clear(); }
  bool has(int block) const { return find(block) != nullptr; }
  // Views of a module of a resident block.
  std::span<const at::Tensor> operator[](model::ModuleId id) const;

 private:
  struct Block {
    int index = 0;
    AccountedMemory memory;
    BlockViews views;
  };
  const Block* find(int block) const;
  const NodeArena& arena_;
  Device& device_;
  DeviceAccount& account_;
  std::vector<Block> blocks_;
};

}  // namespace ferry::offload
