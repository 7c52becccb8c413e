// All-to-alls and other messages of NCCL.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstddef>
#include <span>

#include "parallel/group.h"
#include "parallel/pieces.h"

namespace ferry::parallel {

// Even pieces of `bytes` among `ranks` ranks, by whichever call NCCL's header has: CMake picks
// nccl_all_to_all.cpp (2.28 and later) or nccl_no_all_to_all.cpp.
ncclResult_t nccl_all_to_all(void* recv, const void* send, std::size_t bytes, int ranks, ncclComm_t comm,
                             cudaStream_t stream);

// Any messages, which NCCL starts as one; empty ones are left out.  Returns the first error, or
// ncclInProgress while NCCL goes on in the background.
ncclResult_t nccl_send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                            ncclComm_t comm, cudaStream_t stream);

// Any pieces, as such messages.
ncclResult_t nccl_send_recv(void* recv, const void* send, const Pieces& pieces, int rank, int ranks,
                            ncclComm_t comm, cudaStream_t stream);

}  // namespace ferry::parallel
