// Predicts which modules of a ferried block a pass will use, from earlier passes of its kind.
//
// Passes of one kind (PassKey::kind) use the same modules each time, except that the first forward of a
// prompt also fills the cross-attention's cache.  The next pass's kind is unknown until it begins, so blocks
// prefetched across the boundary carry every module that any kind has used.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace ferry::offload {

class Expectations {
 public:
  // `modules`: number of modules per ferried block.
  explicit Expectations(const std::vector<std::size_t>& modules);
  // Forgets everything: all modules are expected.
  void reset();
  // Begins a pass.
  void begin(const std::string& kind);
  void use(std::size_t block, std::size_t module) { used_[block][module] = true; }
  // Called when the pass is done with a block.
  void learn(std::size_t block);
  // Per module, true if expected: in the current pass, or in the pass after it.
  std::vector<bool> of_this_pass(std::size_t block) const;
  std::vector<bool> of_any_pass(std::size_t block) const;

 private:
  using Blocks = std::vector<std::vector<bool>>;  // by block, then module; an empty block: nothing learnt
  std::map<std::string, Blocks> learnt_;
  Blocks* now_ = nullptr;  // of the current pass; nullptr before the first
  Blocks used_;            // in the current pass
};

}  // namespace ferry::offload
