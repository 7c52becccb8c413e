// The copy pipeline of async: which block goes into which slot, and when.
//
// The offloaded blocks b_0 .. b_{m-1} of all passes form one endless sequence of positions n; position n is
// block b_{n mod m} and uses slot n mod S. The copy for n is queued once position n - S has been released; so
// the last blocks of a pass prefetch the first of the next.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "offload/arena/arena.h"
#include "offload/async/expectations.h"
#include "offload/transport/slots.h"
#include "offload/transport/transport.h"

namespace ferry::offload {

enum class PassFit : std::uint8_t {
  None,      // not all blocks were used
  Measures,  // representative of later passes
  Between,   // representative, but its first blocks had another share
  Other      // it copied or used modules that later passes do not
};

struct FerryingPlan {
  Residency residency;
  Sharing sharing;
  std::size_t slice_bytes = kSliceBytes;
  bool poison = false;
  // Chunks are queued in portions by copy_portion(), instead of a block at once.
  bool in_portions = false;
  // Gathers share their stream with the exchanges: they are queued by flush_gathers(), so as not to delay an
  // exchange.
  bool late_gathers = false;
};

class Ferrying {
 public:
  Ferrying(const NodeArena& arena, FerryingPlan plan, Carrier carrier, Stream& compute);

  // Restarts with these slots (none: no cache).  Work on the old ones must be done.
  void reset(std::vector<Slot> slots);
  bool has_slots() const { return !slots_.empty(); }

  // Sets the share of copies queued from now on; those in flight keep theirs.  All ranks of the carrier's
  // group call it at the same position.
  void set_share(double share);
  double share() const { return plan_.sharing.share; }

  // Begins a pass of this kind; the position must be the start of one.
  void begin(const std::string& kind);
  // Queues all copies that may be queued now.
  void top_up();
  // Acquires the next position: its bytes are ready for work queued on the compute stream from now on.
  void acquire();
  void release(int block);
  // Returns the tensors of a module of a held block; copies it first if this pass was not expected to need
  // it.
  std::span<const at::Tensor> begin_use(model::ModuleId id);
  void end_use(model::ModuleId id) const;
  // True if the position is the start of a pass.
  bool at_start() const { return acquired_ % period() == 0; }

  // Called when the link is free for a while: queues a portion of the pending copies (only in_portions).
  void copy_portion(double fraction_of_block);
  // Called when the last exchange of a block has been queued: queues the gathers of the blocks to come.
  void flush_gathers();

  std::uint64_t skipped_bytes() const { return skipped_bytes_; }
  std::uint64_t gathered_bytes() const { return gathered_bytes_; }
  // How the pass that is ending compares with later ones.
  PassFit fit() const;

 private:
  std::int64_t period() const { return static_cast<std::int64_t>(plan_.residency.offloaded.size()); }
  int block_at(std::int64_t position) const;
  Slot& slot_at(std::int64_t position);
  bool may_issue(std::int64_t position);
  void issue(std::int64_t position);
  void finish_up_to(std::int64_t position);
  void complete_copy(BlockCopy& copy);
  void fetch_module(Slot& slot, model::ModuleId id);
  void poison(Slot& slot);
  const Slot& slot_of(int block) const;
  int index_of(int block) const { return index_of_block_.at(static_cast<std::size_t>(block)); }

  const NodeArena& arena_;
  FerryingPlan plan_;
  Carrier carrier_;
  Stream& compute_;
  std::vector<int> index_of_block_;  // index among the offloaded, -1: resident
  std::vector<int> classes_;         // layout classes of the offloaded
  Expectations expected_;            // by offloaded block
  std::vector<Slot> slots_;
  std::vector<bool> busy_;         // slots whose block may still be in use
  std::deque<BlockCopy> pending_;  // queued or pending, not complete
  std::int64_t issued_ = 0;        // positions issued so far
  std::int64_t acquired_ = 0;
  std::int64_t pass_end_ = 0;   // end position of the current pass
  std::int64_t other_end_ = 0;  // end of the last position that copied first-pass modules or had to fetch one
  std::int64_t share_from_ = 0;  // first position with the current share
  std::uint64_t skipped_bytes_ = 0;
  std::uint64_t gathered_bytes_ = 0;
};

}  // namespace ferry::offload
