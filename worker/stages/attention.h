// Selects the DiT's attention kernel: chosen, tested and agreed on by all ranks before a forward.
#pragma once

#include <cstdint>

#include "base/device.h"
#include "base/dtype.h"
#include "model/kernels/attention.h"
#include "parallel/mpi/session.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Returns the kernel for heads of `head_dim` in `compute`.  `auto` is FlashAttention-3 if every rank has a
// GPU of compute capability 9 and its library, and computes in bf16; else LibTorch's choice.
// FlashAttention-3 is compared with cuDNN's kernel (or, if unavailable, LibTorch's choice) on one call: if
// they differ by more than 1e-2 (relative L2), `auto` skips it with a warning.  Collective over the world;
// every rank gets the same kernel.  Throws UserError on every rank: a requested kernel that is missing, does
// not support the device or the type, or (fa3) gives another result; attention.fa3 with another kernel.
model::kernels::Attention choose_attention(const AttentionOptions& options, DType compute,
                                           std::int64_t head_dim, Device& device, parallel::Session& session);

// Its name for log and record: "fa3", "cudnn", "flash", "efficient", "math".
std::string name_of(const model::kernels::Attention& attention, DType compute, std::int64_t head_dim,
                    const Device& device);

}  // namespace ferry::worker
