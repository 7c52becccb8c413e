// One all-to-all of NCCL, by whichever call its header has: CMake picks nccl_all_to_all.cpp (2.28 and
// later) or nccl_send_recv.cpp.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstddef>

namespace ferry::parallel {

// recv[r * bytes ...] on rank q becomes send[q * bytes ...] of rank r, for `ranks` ranks.
ncclResult_t nccl_all_to_all(void* recv, const void* send, std::size_t bytes, int ranks, ncclComm_t comm,
                             cudaStream_t stream);

}  // namespace ferry::parallel
