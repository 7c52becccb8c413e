// A group of ranks of one node whose large exchanges are copies between their devices' memory.
//
// On GPUs the copy engines do them, over CUDA IPC: they begin at once and take no multiprocessor, where a
// kernel of NCCL waits until the kernels that compute leave it one.  On the CPU they are memcpy through
// shared mappings.  Every rank pushes its pieces into the others' memory:
//
//   all meet       "mine is free"
//   to each peer   copy this rank's piece there
//   all meet       "mine have landed"
//
// A meeting is one operation to queue, as what a GPU has yet to begin takes longer while weights come from
// the host.
//
// Where a piece goes in another rank's memory follows from where this rank receives, which is the same place
// of the same allocation on every rank.
//
// Of all_gather_parts every slice is a piece, copied to each peer when it is there, and the second meeting
// is behind the last.  A GPU copies to its peers with one engine, whatever the stream: where another group's
// exchanges are to go first, a gate between the slices holds them up.
#pragma once

#include <memory>

#include "base/device.h"
#include "parallel/group.h"
#include "parallel/mpi/control.h"

namespace ferry::parallel {

// `base` with all-to-alls and all-gathers by copies, where they receive into memory from allocate(); all else
// is left to `base`.  `members` are the ranks of `base`, all on one node, and `device` outlives the group, as
// the group outlives its memory.  Collective; blocks.
// Where copies do not work, on whichever rank: `base` itself, on every rank, and `why` says the reason.
std::unique_ptr<Group> make_copy_group(std::unique_ptr<Group> base, Control members, Device& device,
                                       double deadline_s, std::string& why);

}  // namespace ferry::parallel
