#include "parallel/nccl_all_to_all.h"

namespace ferry::parallel {

ncclResult_t nccl_all_to_all(void* recv, const void* send, std::size_t bytes, int ranks, ncclComm_t comm,
                             cudaStream_t stream) {
  ncclResult_t result = ncclGroupStart();
  for (int peer = 0; peer < ranks && result == ncclSuccess; ++peer) {
    const std::size_t at = static_cast<std::size_t>(peer) * bytes;
    result = ncclSend(static_cast<const char*>(send) + at, bytes, ncclUint8, peer, comm, stream);
    if (result == ncclSuccess) {
      result = ncclRecv(static_cast<char*>(recv) + at, bytes, ncclUint8, peer, comm, stream);
    }
  }
  const ncclResult_t ended = ncclGroupEnd();
  return result == ncclSuccess ? ended : result;
}

}  // namespace ferry::parallel
