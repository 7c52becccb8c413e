#include <vector>

#include "parallel/nccl/nccl_all_to_all.h"

namespace ferry::parallel {

ncclResult_t nccl_send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                            ncclComm_t comm, cudaStream_t stream) {
  ncclResult_t result = ncclGroupStart();
  const auto add = [&](ncclResult_t added) {
    if (result == ncclSuccess && added != ncclInProgress) result = added;
  };
  for (const auto& [peer, data, bytes] : sends) {
    if (bytes > 0) add(ncclSend(data, bytes, ncclUint8, peer, comm, stream));
  }
  for (const auto& [peer, data, bytes] : receives) {
    if (bytes > 0) add(ncclRecv(data, bytes, ncclUint8, peer, comm, stream));
  }
  const ncclResult_t ended = ncclGroupEnd();
  return result == ncclSuccess ? ended : result;
}

ncclResult_t nccl_send_recv(void* recv, const void* send, const Pieces& pieces, int rank, int ranks,
                            ncclComm_t comm, cudaStream_t stream) {
  std::vector<Outgoing> sends;
  std::vector<Incoming> receives;
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank && !pieces.moves_own()) continue;
    sends.push_back(
        {peer, static_cast<const char*>(send) + pieces.place_sent(rank, peer), pieces.bytes(rank, peer)});
    receives.push_back(
        {peer, static_cast<char*>(recv) + pieces.place_received(peer, rank), pieces.bytes(peer, rank)});
  }
  return nccl_send_recv(sends, receives, comm, stream);
}

}  // namespace ferry::parallel
