// The one host copy of a network's weights on each node.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/device.h"
#include "model/checkpoint/checkpoint.h"
#include "model/weights.h"
#include "offload/arena_plan.h"
#include "offload/layout.h"
#include "offload/loader.h"
#include "offload/node_memory.h"
#include "offload/options.h"
#include "parallel/session.h"

namespace ferry::offload {

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
  const ArenaLayout& layout() const { return layout_; }
  int weight_ranks() const { return plan_.weight_ranks; }
  std::byte* data() const { return memory_->data(); }
  std::size_t bytes() const { return memory_->bytes(); }
  MemoryKind kind() const { return memory_->kind(); }
  const std::byte* at(const Blob& blob) const { return data() + blob.offset; }

  // Places the pages, fills this rank's share, waits for the others', seals.  Collective over the node.
  // Throws on every rank the error of the first rank that failed.
  void load(const TensorSource& source, int threads,
            const std::function<void(const LoadProgress&)>& progress);

  // Page-locks the copy for `device` on the ranks that copy from it, a blob at a time, one rank after the
  // other; on the CPU nothing happens.  All of these ranks have it or none: when one is refused, all go
  // without and rank 0 warns.  Returns whether it is page-locked for those that copy.  Collective over the
  // node; a second call returns what the first found.
  bool pin(Device& device, bool copies = true);
  bool pinned() const { return pinned_.value_or(false); }

 private:
  void unpin() noexcept;
  std::string try_pin(Device& device);
  ArenaPlan plan_;
  NodeRanks node_;
  ArenaLayout layout_;
  std::unique_ptr<NodeMemory> memory_;
  Device* device_ = nullptr;
  std::vector<void*> registered_;
  std::optional<bool> pinned_;
};

// What an arena is filled with.
struct ArenaSource {
  const model::Checkpoint& checkpoint;
  const model::NetworkSpec& spec;
  Merge merge{};
};

// Plans, makes, places and loads the arena of one network.  Collective over the node.  Registration waits
// for make_stage.
std::unique_ptr<NodeArena> load_arena(const ArenaSource& source, const Options& options,
                                      const NodeRanks& node,
                                      const std::function<void(const LoadProgress&)>& progress);

}  // namespace ferry::offload
