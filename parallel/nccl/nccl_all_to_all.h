// All-to-all and point-to-point messages over NCCL.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstddef>
#include <span>

#include "parallel/group.h"
#include "parallel/pieces.h"

namespace ferry::parallel {

// All-to-all of even pieces of `bytes` among `ranks` ranks, by the best call that NCCL's header offers: CMake
// picks nccl_all_to_all.cpp (2.28 and later) or nccl_no_all_to_all.cpp.
ncclResult_t nccl_all_to_all(void* recv, const void* send, std::size_t bytes, int ranks, ncclComm_t comm,
                             cudaStream_t stream);

// Point-to-point messages, as one NCCL group call; empty ones are skipped.  Returns the first error, or
// ncclInProgress while NCCL continues in the background.
ncclResult_t nccl_send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                            ncclComm_t comm, cudaStream_t stream);

// All-to-all of any pieces, as such messages.
ncclResult_t nccl_send_recv(void* recv, const void* send, const Pieces& pieces, int rank, int ranks,
                            ncclComm_t comm, cudaStream_t stream);

}  // namespace ferry::parallel
