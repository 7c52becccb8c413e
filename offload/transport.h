// How the bytes of a block get into a slot.
//
//   full     every rank copies all of it over its own link
//   sharded  each of P ranks copies 1/P of it; an all-gather over the node brings the rest
//
//   blob     | shard 0 | shard 1 | ... | shard P-1 | what this pass leaves out |
//
// Shards are of what a pass wants and not of the whole blob, so that the links stay even when modules at its
// end are left out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/trace.h"
#include "offload/link.h"
#include "offload/meter.h"
#include "offload/slots.h"
#include "parallel/group.h"

namespace ferry::offload {

// A block on its way into a slot.
struct Job {
  std::int64_t position = 0;  // counts all offloaded blocks of all passes
  int block = 0;
  Slot* slot = nullptr;
  Blob blob;
  std::size_t shard = 0;    // bytes of each rank's share; the gather brings P of them
  std::vector<Range> todo;  // what this rank still has to copy, in order
  std::size_t next = 0;     // index in todo
  std::size_t done = 0;     // bytes of todo[next]
  bool started = false;
  bool copied = false;    // all chunks are queued
  bool complete = false;  // `ready` is recorded
};

// The streams and the link that carry weights.  What it points to outlives it.
struct Carrier {
  Stream* copy = nullptr;
  Stream* gather = nullptr;
  Link* link = nullptr;
  parallel::Group* group = nullptr;  // nullptr: full
  Meter* meter = nullptr;
  Trace* trace = nullptr;

  int shards() const { return group == nullptr ? 1 : group->size(); }
  int shard() const { return group == nullptr ? 0 : group->rank(); }
};

// Bytes of one of `ranks` equal shares that together reach the end of `ranges` (ascending), a multiple of
// 256: no further than the blob's end, where its bytes are a multiple of ranks * 256.
std::size_t shard_bytes(const std::vector<Range>& ranges, int ranks);

// What one of `ranks` copies of `ranges` of a blob.
std::vector<Range> share_of(const std::vector<Range>& ranges, int rank, int ranks);

// Queues up to `most_bytes` (rounded up to chunks) of the job's copy, the first time behind the slot's last
// use; sets `copied`.
void copy_some(const Carrier& carrier, Job& job, const std::byte* arena, std::size_t most_bytes);

// Behind the copy: queues the gather if there is one, and records `ready`.  Collective over the group.
void complete(const Carrier& carrier, Job& job);

}  // namespace ferry::offload
