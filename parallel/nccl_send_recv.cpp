#include "parallel/nccl_all_to_all.h"

namespace ferry::parallel {

ncclResult_t nccl_send_recv(void* recv, const void* send, const Pieces& pieces, int rank, int ranks,
                            ncclComm_t comm, cudaStream_t stream) {
  ncclResult_t result = ncclGroupStart();
  const auto add = [&](ncclResult_t added) {
    if (added != ncclSuccess && added != ncclInProgress) result = added;
  };
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank && !pieces.moves_own()) continue;
    const std::size_t out = pieces.bytes(rank, peer);
    const std::size_t in = pieces.bytes(peer, rank);
    const auto* from = static_cast<const char*>(send) + pieces.place_sent(rank, peer);
    auto* to = static_cast<char*>(recv) + pieces.place_received(peer, rank);
    if (out > 0) add(ncclSend(from, out, ncclUint8, peer, comm, stream));
    if (in > 0) add(ncclRecv(to, in, ncclUint8, peer, comm, stream));
  }
  const ncclResult_t ended = ncclGroupEnd();
  return result == ncclSuccess ? ended : result;
}

}  // namespace ferry::parallel
