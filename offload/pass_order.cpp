#include "offload/pass_order.h"

#include <stdexcept>
#include <utility>

namespace ferry::offload {

void PassOrder::fail(const std::string& what) const {
  throw std::invalid_argument("weights of " + network_ + ": " + what);
}

void PassOrder::begin(const model::PassKey& key) {
  if (running_) fail("a pass \"" + key.kind + "\" begins inside another");
  running_ = true;
  next_ = 0;
  last_held_ = previous_held_ = false;
}

void PassOrder::acquire(int block) {
  if (!running_) fail("block " + std::to_string(block) + " acquired outside of a pass");
  if (block != next_ || block >= blocks_) {
    fail("block " + std::to_string(block) + " acquired where " + std::to_string(next_) + " of " +
         std::to_string(blocks_) + " is next");
  }
  if (previous_held_) fail("block " + std::to_string(block - 2) + " is still held");
  previous_held_ = std::exchange(last_held_, true);
  ++next_;
}

void PassOrder::release(int block) {
  if (!held(block)) fail("block " + std::to_string(block) + " released without being held");
  (block == next_ - 1 ? last_held_ : previous_held_) = false;
}

void PassOrder::end() {
  if (!std::exchange(running_, false)) fail("a pass ends that did not begin");
  if (last_held_ || previous_held_) fail("a pass ends with a block still held");
  if (next_ != 0 && next_ != blocks_) {
    fail("a pass ends after " + std::to_string(next_) + " of " + std::to_string(blocks_) + " blocks");
  }
}

void PassOrder::check_module(model::ModuleId id) const {
  if (!running_) fail("a module is acquired outside of a pass");
  if (id.block >= 0 && !held(id.block)) {
    fail("a module of block " + std::to_string(id.block) + " is acquired while the block is not held");
  }
}

}  // namespace ferry::offload
