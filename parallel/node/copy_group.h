// A group of ranks of one node that does its large exchanges by copies between device memories.
//
// On GPUs the copy engines do them, over CUDA IPC: they start at once and take no multiprocessor, whereas an
// NCCL kernel waits until compute kernels leave one free.  On the CPU they are memcpy through shared
// mappings.  Every rank pushes its pieces into the others' memory:
//
//   barrier        "mine is free"
//   to each peer   copy this rank's piece there
//   barrier        "mine have landed"
//
// Each barrier is queued as one operation (PeerPort::meet), since each operation a GPU has yet to start takes
// longer while weights come from the host.
//
// The destination in another rank's memory follows from where this rank receives, which is the same place of
// the same allocation on every rank.
//
// In all_gather_parts every slice is a piece, copied to each peer once it is ready, and the second barrier
// follows the last.  A GPU copies to its peers with one engine, whatever the stream: to let another group's
// exchanges go first, a gate between the slices holds them back.
#pragma once

#include <memory>

#include "base/device.h"
#include "parallel/group.h"
#include "parallel/mpi/control.h"

namespace ferry::parallel {

class Ticks;

// How its ranks wait for each other.
struct CopyWaits {
  double patience_s = 0;   // on the CPU: the longest that an exchange waits for another rank
  Ticks* ticks = nullptr;  // or null; hears when the main thread waits.  Outlives the group
};

// Wraps `base`: all-to-alls and all-gathers that receive into memory from allocate() are done by copies, all
// else by `base`.  `members` are the ranks of `base`, all on one node; `device` must outlive the group, and
// the group its memory.  Collective; blocks.  If copies fail on any rank, returns `base` itself on every rank
// and sets `why` to the reason.
std::unique_ptr<Group> make_copy_group(std::unique_ptr<Group> base, Control members, Device& device,
                                       const CopyWaits& waits, std::string& why);

}  // namespace ferry::parallel
