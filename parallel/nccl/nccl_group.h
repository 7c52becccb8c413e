// A group over NCCL, for GPUs.
#pragma once

#include <memory>

#include "parallel/group.h"
#include "parallel/mpi/control.h"

namespace ferry::parallel {

class Ticks;

// Makes the group of `members`, each with the GPU current on the calling thread.  Collective over `members`;
// blocks until all of them have joined.  Its operations take CUDA streams.  An operation returns when NCCL
// has launched it: after microseconds, on first use after seconds.  It throws NcclError if queueing fails or
// the communicator had failed before.
// Throws NcclError if the group cannot be made or that takes longer than `patience_s`, and UserError if the
// program was built without NCCL.  While it waits for NCCL, this rank is not late (Ticks::Wait of `ticks`,
// which may be null and must outlive the group).
std::unique_ptr<Group> make_nccl_group(Control& members, double patience_s, Ticks* ticks);

}  // namespace ferry::parallel
