// The copy pipeline of async: which block goes into which slot when.
//
// The offloaded blocks b_0 .. b_{m-1} of every pass, passes one after the other, make one endless sequence
// of positions n; position n is block b_{n mod m} and uses slot n mod S.  The copy for n is queued as soon
// as position n - S has been released; so the last blocks of a pass prefetch the first of the next.
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
  None,      // it used no block, or not all
  Measures,  // it is as later ones will be
  Between,   // but for the share of its first blocks, which was another
  Other      // it brought or used what later ones do not
};

struct FerryingPlan {
  Residency residency;
  Sharing sharing;
  std::size_t slice_bytes = kSliceBytes;
  bool poison = false;
  // Chunks are handed out a few at a time, by copy_portion(), instead of a block at once.
  bool in_portions = false;
  // Gathers share their stream with the exchanges: they are queued by flush_gathers(), so that they do not
  // stand in front of an exchange.
  bool late_gathers = false;
};

class Ferrying {
 public:
  Ferrying(const NodeArena& arena, FerryingPlan plan, Carrier carrier, Stream& compute);

  // Starts over with these slots (none: there is no cache).  No work of the old ones is left.
  void reset(std::vector<Slot> slots);
  bool has_slots() const { return !slots_.empty(); }

  // Of what is queued from now on; what is on its way keeps its own.  Every rank of the carrier's group calls
  // it at the same position.
  void set_share(double share);
  double share() const { return plan_.sharing.share; }

  // A pass of this kind begins; the position is the start of one.
  void begin(const std::string& kind);
  // Queues every copy that may be queued now.
  void top_up();
  // The next position is about to be used: its bytes are there for what is queued on the compute stream from
  // now on.
  void acquire();
  void release(int block);
  // For a module of a held block; brings it when this pass was not expected to need it.
  std::span<const at::Tensor> begin_use(model::ModuleId id);
  void end_use(model::ModuleId id) const;
  // The position in the sequence is the start of a pass.
  bool at_start() const { return acquired_ % period() == 0; }

  // The link is free for a while: queues a share of what waits (only in_portions).
  void copy_portion(double share_of_block);
  // The last exchange of a block has been queued: the gathers of what comes next can be.
  void flush_gathers();

  std::uint64_t skipped_bytes() const { return skipped_bytes_; }
  std::uint64_t gathered_bytes() const { return gathered_bytes_; }
  // How the pass that ends compares with those to come.
  PassFit fit() const;

 private:
  std::int64_t period() const { return static_cast<std::int64_t>(plan_.residency.offloaded.size()); }
  int block_at(std::int64_t position) const;
  Slot& slot_at(std::int64_t position);
  bool may_issue(std::int64_t position);
  void issue(std::int64_t position);
  void finish_up_to(std::int64_t position);
  void complete_job(Job& job);
  void fetch_module(Slot& slot, model::ModuleId id);
  void poison(Slot& slot);
  const Slot& slot_of(int block) const;
  int index_of(int block) const { return index_of_block_.at(static_cast<std::size_t>(block)); }

  const NodeArena& arena_;
  FerryingPlan plan_;
  Carrier carrier_;
  Stream& compute_;
  std::vector<int> index_of_block_;  // among the offloaded, -1: resident
  std::vector<int> classes_;         // of the offloaded
  Expectations expected_;            // by offloaded block
  std::vector<Slot> slots_;
  std::vector<bool> busy_;   // slots whose block may still be used
  std::deque<Job> jobs_;     // queued or to be queued, not complete
  std::int64_t issued_ = 0;  // positions that have a job or had one
  std::int64_t acquired_ = 0;
  std::int64_t pass_end_ = 0;    // the position after the last of the pass that runs
  std::int64_t other_end_ = 0;   // after the last that brought modules of a first pass, or had to fetch one
  std::int64_t share_from_ = 0;  // the first position of the share in force
  std::uint64_t skipped_bytes_ = 0;
  std::uint64_t gathered_bytes_ = 0;
};

}  // namespace ferry::offload
