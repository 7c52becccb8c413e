#include "parallel/nccl/nccl_all_to_all.h"

namespace ferry::parallel {

// Rank 0 stands for any rank: offsets of even pieces do not depend on it.
ncclResult_t nccl_all_to_all(void* recv, const void* send, std::size_t bytes, int ranks, ncclComm_t comm,
                             cudaStream_t stream) {
  return nccl_send_recv(recv, send, bytes, 0, ranks, comm, stream);
}

}  // namespace ferry::parallel
