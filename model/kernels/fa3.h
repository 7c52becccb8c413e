// FlashAttention-3's forward kernel (arXiv:2407.08608), from the Python package fa3-fwd, whose library needs
// LibTorch but no Python.  It is loaded when the program runs; nothing is linked.
#pragma once

#include <string>

#include "base/device.h"
#include "model/kernels/attention.h"

namespace ferry::model::kernels {

// Where tools/setup.sh puts it: fa3_fwd/_C.abi3.so beside LibTorch's folder.  Empty when it is not there.
std::string find_fa3();

// Whether the device is a GPU that the kernel is made for.
bool takes_fa3(const Device& device);

// Loads `file` for `device`.  The kernel takes bf16 and a head_dim up to 256 that 8 divides; it writes into
// its output and has its log-sum-exp (4 bytes per query and head) from LibTorch's allocator.
// Throws UserError saying what is missing: no GPU of compute capability 9, no such file, a file that cannot
// be loaded or is another library.
Attention load_fa3(const std::string& file, const Device& device);

}  // namespace ferry::model::kernels
