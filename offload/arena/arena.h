// The one host copy of a network's weights on each node.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/device.h"
#include "checkpoint/checkpoint.h"
#include "model/weights.h"
#include "offload/arena/arena_plan.h"
#include "offload/arena/layout.h"
#include "offload/arena/loader.h"
#include "offload/arena/node_memory.h"
#include "offload/arena/pinning.h"

namespace ferry::offload {

// How a node's copy is filled.
struct LoadSetup {
  int threads = 1;                                    // of this rank
  std::function<void(const LoadProgress&)> progress;  // called on one of them; may be empty
  Device* pin_for = nullptr;   // the device that this rank copies to, as begin_pin() takes it
  std::vector<int> divided{};  // with pin_for: blocks of which each rank at first copies a share
};

class NodeArena {
 public:
  // Makes the memory.  Collective over the node.  Throws UserError when it does not fit.
  NodeArena(ArenaPlan plan, const NodeRanks& node);
  ~NodeArena();
  NodeArena(const NodeArena&) = delete;
  NodeArena& operator=(const NodeArena&) = delete;

  const ArenaPlan& plan() const { return plan_; }
  const model::NetworkSpec& spec() const { return plan_.spec; }
  const model::NetworkSpec& stored() const { return plan_.stored; }
  const ArenaLayout& layout() const { return plan_.layout; }
  int weight_ranks() const { return plan_.weight_ranks; }
  std::byte* data() const { return memory_->data(); }
  std::size_t bytes() const { return plan_.layout.bytes; }
  MemoryKind kind() const { return memory_->kind(); }
  const std::byte* at(const Blob& blob) const { return data() + blob.offset; }

  // Places the pages, and lets threads fill this rank's share while the caller goes on.  Collective over the
  // node.  What `source` refers to outlives the load.
  void begin_load(TensorSource source, const LoadSetup& setup);
  // Waits for this rank's and the others' shares, then seals.  Collective over the node.
  // Throws on every rank the error of the first rank that failed.
  void finish_load();
  // Both.
  void load(TensorSource source, int threads, const std::function<void(const LoadProgress&)>& progress);
  // Every rank that fills this memory has filled its part, as far as this one has heard.
  bool filled() const;

  // Page-locks the copy for `device` while the caller goes on (pinning.h), once a load that has begun is over
  // on every rank: by the ranks that copy from it and no others.  Of the blocks of `divided` this rank's
  // share comes first.  On the CPU nothing happens.
  void begin_pin(Device& device, const std::vector<int>& divided = {});
  // Waits until what comes first is page-locked, having begun now on a rank that `copies` and has not begun
  // yet.  All of these ranks have it or none: when one is refused, all go without and rank 0 warns.  Returns
  // whether it is page-locked for those that copy.  Collective over the node; a second call returns what the
  // first found.
  bool pin(Device& device, bool copies = true);
  bool pinned() const { return pinned_.value_or(false); }
  // After pin(): waits for the rest as well; a rank that is refused there has warned and copies it slowly.
  void wait_pinned();
  // Nothing more will be page-locked, whether all is or the device has refused.
  bool pinning_over() const { return pinning_ == nullptr || pinning_->over(); }
  // The same of all ranks that share this memory, whether this one page-locks anything or not.
  bool pinning_over_on_node() const;
  // Keeps this rank's page-locking at rest, or lets it go on (pinning.h).
  void pause_pinning(bool paused);
  // Where copies have to end; the same object for the arena's life.
  const PinBorders& pin_borders() const { return borders_; }
  // How long this rank's page-locking took on its thread since the copy was filled, up to what comes first
  // and in all; 0: not yet, or there was none.
  double pin_first_s() const { return pinning_ == nullptr ? 0 : pinning_->first_s(); }
  double pin_all_s() const { return pinning_ == nullptr ? 0 : pinning_->all_s(); }
  // What lies on pages of 2 MiB, as far as this rank has touched it; 0 where the kernel gives shared memory
  // none.  Else walks page tables: milliseconds.
  std::size_t huge_bytes() const;

 private:
  struct Loading;
  // Ranks that fill this memory.
  int fillers() const { return kind() == MemoryKind::Private ? 1 : node_.peers.size; }
  ArenaPlan plan_;
  NodeRanks node_;
  std::unique_ptr<NodeMemory> memory_;
  std::unique_ptr<Loading> loading_;
  PinBorders borders_;
  std::unique_ptr<Pinning> pinning_;
  std::optional<bool> pinned_;
};

// What an arena is filled with.
struct ArenaSource {
  const checkpoint::Checkpoint& checkpoint;
  Merge merge{};
};

// Makes the arena of one network and begins to load it, with as many threads as are this rank's share of the
// node; with pin_for page-locks it then, of plan.divided this rank's share first.  Collective over the
// node.
std::unique_ptr<NodeArena> begin_arena(const ArenaSource& source, const ArenaPlan& plan,
                                       const NodeRanks& node, LoadSetup setup);

// The same, loaded.  Registration waits for make_stage.
std::unique_ptr<NodeArena> load_arena(const ArenaSource& source, const ArenaPlan& plan, const NodeRanks& node,
                                      const std::function<void(const LoadProgress&)>& progress);

}  // namespace ferry::offload
