// Enforces the order of acquires that model/weights.h promises and strategies rely on.
#pragma once

#include <string>

#include "model/weights.h"

namespace ferry::offload {

// A pass acquires no block, or all of them in ascending order; a block is released before the next but one is
// acquired.  A violation throws std::invalid_argument with the actual and expected call.
class PassOrder {
 public:
  PassOrder(std::string network, int blocks) : network_(std::move(network)), blocks_(blocks) {}
  void begin(const model::PassKey& key);
  void acquire(int block);
  void release(int block);
  // Also ends an incomplete pass; then it resets itself and throws.
  void end();
  bool running() const { return running_; }
  // Throws unless the module may be used now: those of a block only while it is held.
  void check_module(model::ModuleId id) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  bool held(int block) const {
    return block == next_ - 1 ? last_held_ : block == next_ - 2 && previous_held_;
  }
  std::string network_;
  int blocks_;
  bool running_ = false;
  int next_ = 0;                // next block that may be acquired
  bool last_held_ = false;      // block next_ - 1
  bool previous_held_ = false;  // block next_ - 2
};

}  // namespace ferry::offload
