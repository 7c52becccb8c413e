// parallel/nccl/nccl_group.h and peer_port.h for builds without CUDA and NCCL.
#include "base/error.h"
#include "parallel/nccl/nccl_group.h"
#include "parallel/node/peer_port.h"

namespace ferry::parallel {

std::unique_ptr<Group> make_nccl_group(Control&, double, Ticks*) {
  throw UserError("this program was built without NCCL: use --device cpu");
}

std::unique_ptr<PeerPort> make_cuda_peer_port(Device&, Control&) {
  throw UserError("this program was built without CUDA: use --device cpu");
}

}  // namespace ferry::parallel
