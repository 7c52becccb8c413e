// How the bytes of a block get into a slot.  Which transports there are: offload/options.h; what each means
// as a share: offload/stated_share.h.
//
//   link     | slice 0 | slice 1 | slice 2 |  rests  |       copied by this rank (shares.h)
//   gather             | slice 0 | slice 1 | slice 2 |       sent to the peers, while theirs arrive here
//
// If ranks copy into each other's memory, a block is ready after the longer of the two, else after both.
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

// One copy by this rank.
struct CopyStep {
  Range range;             // in the blob; may be empty
  Event* there = nullptr;  // optional; recorded after it
};

// The transfer of a block into a slot.
struct BlockCopy {
  std::int64_t position = 0;  // counts all offloaded blocks of all passes
  int block = 0;
  Slot* slot = nullptr;
  Blob blob;
  std::vector<Range> shared{};            // by rank, bytes copied for all; empty: no gather
  std::vector<parallel::Slice> slices{};  // slices of this rank's
  std::vector<CopyStep> todo{};           // copies of this rank, in order
  std::size_t next = 0;                   // index in todo
  std::size_t done = 0;                   // bytes done of todo[next]
  bool started = false;
  bool copied = false;    // all chunks are queued
  bool complete = false;  // `ready` is recorded
};

// Streams and link for weights.  Everything it points to must outlive it.
struct Carrier {
  Stream* copy_stream = nullptr;
  Stream* gather_stream = nullptr;
  Link* link = nullptr;
  parallel::Group* group = nullptr;  // nullptr: every rank copies all, for any share
  Meter* meter = nullptr;
  Trace* trace = nullptr;       // of gathers
  Trace* copy_trace = nullptr;  // of copies; nullptr where the link traces its chunks
  StreamGate* gate = nullptr;   // optional; transfers between ranks pass it

  int shards() const { return group == nullptr ? 1 : group->size(); }
  int shard() const { return group == nullptr ? 0 : group->rank(); }
};

// Plans what this rank copies of `wanted` (ascending), and what is gathered.  Slices have at most
// `slice_bytes`, or more if the slot has too few events.
void plan_copies(const Carrier& carrier, const Sharing& sharing, std::size_t slice_bytes,
                 const std::vector<Range>& wanted, BlockCopy& copy);

// Queues up to `most_bytes` (rounded up to chunks) of what this rank copies of the block, the first time
// after the slot's last use; sets `copied`.
void copy_some(const Carrier& carrier, BlockCopy& copy, const std::byte* arena, std::size_t most_bytes);

// Call once all is copied: queues the gather, if any, and records `ready`.  Collective over the group.
void complete(const Carrier& carrier, BlockCopy& copy);

}  // namespace ferry::offload
