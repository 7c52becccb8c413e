// FlashAttention-3's forward kernel (arXiv:2407.08608), from the Python package fa3-fwd, whose library needs
// LibTorch but not Python.  Loaded at run time; nothing is linked.
#pragma once

#include <string>

#include "base/device.h"
#include "model/kernels/attention.h"

namespace ferry::model::kernels {

// Path at which tools/setup.sh installs it: fa3_fwd/_C.abi3.so beside LibTorch's folder.  Empty if not
// installed.
std::string find_fa3();

// True if the kernel supports the device.
bool takes_fa3(const Device& device);

// Loads `file` for `device`.  The kernel takes bf16 and a head_dim up to 256 that is a multiple of 8; it
// writes into its output and allocates its log-sum-exp (4 bytes per query and head) through LibTorch.
// Throws UserError naming what is missing: no GPU of compute capability 9, no such file, a file that cannot
// be loaded or is another library.
Attention load_fa3(const std::string& file, const Device& device);

}  // namespace ferry::model::kernels
