// The host copy of a network's weights, one per node.
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

// Parameters of a load.
struct LoadSetup {
  int threads = 1;                                    // of this rank
  std::function<void(const LoadProgress&)> progress;  // optional; called on one of them
  Device* pin_for = nullptr;   // optional; the device to page-lock for, as for begin_pin()
  std::vector<int> divided{};  // with pin_for: blocks that ranks at first copy in shares
};

// The source of an arena's weights.
struct ArenaSource {
  const checkpoint::Checkpoint& checkpoint;
  Merge merge{};
};

class NodeArena {
 public:
  // Allocates the memory.  Collective over the node.  Throws UserError if it does not fit.
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

  // Places the pages and starts threads that fill this rank's portion, then returns.  Collective over the
  // node.  Everything that `source` refers to must outlive the load.
  void begin_load(TensorSource source, const LoadSetup& setup);
  // Waits for all ranks' portions, then seals the memory.  Collective over the node.
  // Throws on every rank the error of the lowest rank that failed.
  void finish_load();
  // begin_load(), then finish_load().
  void load(TensorSource source, int threads, const std::function<void(const LoadProgress&)>& progress);
  // Reads again the tensors that `before`, which is merged into them, or source.merge changes: then the
  // memory has the bits of a load with source.merge.  No rank of the node may read it meanwhile, nor rely on
  // copies of it. Collective over the node.  On failure, which every rank throws, its contents are undefined.
  void reload(const ArenaSource& source, const Merge& before,
              const std::function<void(const LoadProgress&)>& progress);
  // True if all ranks that fill this memory have finished, as far as this one knows.
  bool filled() const;

  // Starts to page-lock the copy for `device` in the background (pinning.h), once a load in progress has
  // finished on every rank.  Called only by ranks that copy from it.  This rank's share of the `divided`
  // blocks comes first.  A no-op on the CPU.
  void begin_pin(Device& device, const std::vector<int>& divided = {});
  // Waits until the first part is page-locked; starts page-locking if this rank `copies` and has not started
  // yet.  All copying ranks succeed or none: if one is refused, all do without and rank 0 warns.  Returns
  // true if page-locked.  Collective over the node; later calls return the first result.
  bool pin(Device& device, bool copies = true);
  bool pinned() const { return pinned_.value_or(false); }
  // Call after pin(): waits for the rest too; a rank that is refused there has warned and copies it slowly.
  void wait_pinned();
  // True if no more will be page-locked: all is, or the device has refused.
  bool pinning_over() const { return pinning_ == nullptr || pinning_->over(); }
  // As above for all ranks that share this memory, whether or not this one page-locks anything.
  bool pinning_over_on_node() const;
  // Pauses or resumes this rank's page-locking (pinning.h).
  void pause_pinning(bool paused);
  // Addresses at which copies must end; the same object for the arena's life.
  const PinBorders& pin_borders() const { return borders_; }
  // Seconds from when the copy was filled until this rank's page-locking finished the first part, and all; 0:
  // not yet, or none.
  double pin_first_s() const { return pinning_ == nullptr ? 0 : pinning_->first_s(); }
  double pin_all_s() const { return pinning_ == nullptr ? 0 : pinning_->all_s(); }
  // Bytes on 2 MiB pages, as far as this rank has touched them; 0 if the kernel does not use them for shared
  // memory.  Else walks page tables: milliseconds.
  std::size_t huge_bytes() const;

 private:
  struct Loading;
  LoadPlan load_plan(int threads) const;
  // Number of ranks that fill this memory.
  int fillers() const { return kind() == MemoryKind::Private ? 1 : node_.peers.size; }
  ArenaPlan plan_;
  NodeRanks node_;
  std::unique_ptr<NodeMemory> memory_;
  std::unique_ptr<Loading> loading_;
  PinBorders borders_;
  std::unique_ptr<Pinning> pinning_;
  std::optional<bool> pinned_;
};

// Makes the arena of one network and starts to load it, with this rank's portion of the node's threads; with
// pin_for it is page-locked afterwards, this rank's share of plan.divided first.  Collective over the node.
std::unique_ptr<NodeArena> begin_arena(const ArenaSource& source, const ArenaPlan& plan,
                                       const NodeRanks& node, LoadSetup setup);

// As above, and waits until it is loaded. make_stage page-locks it.
std::unique_ptr<NodeArena> load_arena(const ArenaSource& source, const ArenaPlan& plan, const NodeRanks& node,
                                      const std::function<void(const LoadProgress&)>& progress);

}  // namespace ferry::offload
