// Which modules of a ferried block a pass will use, learnt from earlier passes of its kind.
//
// Passes of one kind (PassKey::kind) use the same modules each time, except that the first forward of a
// prompt also fills the cross-attention's cache.  What the next pass is, nobody knows before it begins: its
// first blocks, which are ferried while this one ends, are brought with all that any kind uses.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace ferry::offload {

class Expectations {
 public:
  // The number of modules of each ferried block.
  explicit Expectations(const std::vector<std::size_t>& modules);
  // Forgets everything: all modules are expected.
  void reset();
  // A pass begins.
  void begin(const std::string& kind);
  void use(std::size_t block, std::size_t module) { used_[block][module] = true; }
  // The pass is done with a block.
  void learn(std::size_t block);
  // By module, whether it is expected: of the pass that runs, or of the one after it.
  std::vector<bool> of_this_pass(std::size_t block) const;
  std::vector<bool> of_any_pass(std::size_t block) const;

 private:
  using Blocks = std::vector<std::vector<bool>>;  // by block, then module; an empty block: nothing learnt
  std::map<std::string, Blocks> learnt_;
  Blocks* now_ = nullptr;  // of the pass that runs; nullptr: none has begun
  Blocks used_;            // in the pass that runs
};

}  // namespace ferry::offload
