// The kernel that computes the DiT's attention: chosen, tried and agreed by all ranks before a forward.
#pragma once

#include <cstdint>

#include "base/device.h"
#include "base/dtype.h"
#include "model/kernels/attention.h"
#include "parallel/mpi/session.h"
#include "worker/job/options.h"

namespace ferry::worker {

// What attends, for heads of `head_dim` in `compute`.  `auto` is FlashAttention-3 where every rank has a GPU
// of compute capability 9 and its library, and computes in bf16; else what LibTorch chooses. FlashAttention-3
// is compared with cuDNN's (or, where that is not to be had, with what LibTorch chooses) on one call: where
// they differ by more than 1e-2 (relative L2), `auto` leaves it out with a warning.  Collective over the
// world; every rank gets the same kernel. Throws UserError on every rank: a kernel that was asked for and is
// not there, attention.fa3 beside another kernel, or does not take the device or the type, or (fa3) gives
// another result.
model::kernels::Attention choose_attention(const AttentionOptions& options, DType compute,
                                           std::int64_t head_dim, Device& device, parallel::Session& session);

// Its name as log and record have it: "fa3", "cudnn", "flash", "efficient", "math".
std::string name_of(const model::kernels::Attention& attention, DType compute, std::int64_t head_dim,
                    const Device& device);

}  // namespace ferry::worker
