// How the bytes of a block get into a slot.  Which transports there are: offload/options.h; what each means
// as a share: offload/stated_share.h.
//
//   link     | slice 0 | slice 1 | slice 2 |  rests  |       what this rank copies (shares.h)
//   gather             | slice 0 | slice 1 | slice 2 |       on to the peers, as theirs come here
//
// Where ranks copy into each other's memory a block is there after the longer of the two, else after both.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/trace.h"
#include "offload/transport/link.h"
#include "offload/transport/meter.h"
#include "offload/transport/shares.h"
#include "offload/transport/slots.h"
#include "parallel/group.h"

namespace ferry::offload {

// A piece of what a rank copies.
struct CopyStep {
  Range range;             // of the blob; may be empty
  Event* there = nullptr;  // recorded behind it; nullptr: nobody waits for it
};

// A block on its way into a slot.
struct Job {
  std::int64_t position = 0;  // counts all offloaded blocks of all passes
  int block = 0;
  Slot* slot = nullptr;
  Blob blob;
  std::vector<Range> shared{};            // by rank, what each copies for all; empty: nothing is gathered
  std::vector<parallel::Slice> slices{};  // of this rank's
  std::vector<CopyStep> todo{};           // what this rank copies, in order
  std::size_t next = 0;                   // index in todo
  std::size_t done = 0;                   // bytes of todo[next]
  bool started = false;
  bool copied = false;    // all chunks are queued
  bool complete = false;  // `ready` is recorded
};

// The streams and the link that carry weights.  What it points to outlives it.
struct Carrier {
  Stream* copy_stream = nullptr;
  Stream* gather_stream = nullptr;
  Link* link = nullptr;
  parallel::Group* group = nullptr;  // nullptr: every rank copies all, whatever the share
  Meter* meter = nullptr;
  Trace* trace = nullptr;
  StreamGate* gate = nullptr;  // that what goes from rank to rank passes; nullptr: none

  int shards() const { return group == nullptr ? 1 : group->size(); }
  int shard() const { return group == nullptr ? 0 : group->rank(); }
};

// Lists what this rank copies of `wanted` (ascending), and what is gathered.  Slices are of `slice_bytes` at
// the most, or larger where the slot has no more events.
void plan_copies(const Carrier& carrier, const Sharing& sharing, std::size_t slice_bytes,
                 const std::vector<Range>& wanted, Job& job);

// Queues up to `most_bytes` (rounded up to chunks) of the job's copy, the first time behind the slot's last
// use; sets `copied`.
void copy_some(const Carrier& carrier, Job& job, const std::byte* arena, std::size_t most_bytes);

// Once all is copied: queues the gather if there is one, and records `ready`.  Collective over the group.
void complete(const Carrier& carrier, Job& job);

}  // namespace ferry::offload
