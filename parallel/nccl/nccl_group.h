// A group over NCCL, for GPUs.
#pragma once

#include <memory>

#include "parallel/group.h"
#include "parallel/mpi/control.h"

namespace ferry::parallel {

// The group of `members`, each with the GPU that is current on the calling thread.  Collective over
// `members`; blocks until all of them have joined.  Streams passed to its operations are CUDA streams.
// An operation returns when NCCL has launched it: after microseconds, at first use seconds.  It throws
// NcclError when queueing it fails or when the communicator had failed before.
// Throws NcclError when it cannot be made or takes longer than `deadline_s`, and UserError when the program
// was built without NCCL.
std::unique_ptr<Group> make_nccl_group(Control& members, double deadline_s);

}  // namespace ferry::parallel
