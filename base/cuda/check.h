// FERRY_CHECK for the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <source_location>

#include "base/error.h"

namespace ferry {

// Throws CudaError with CUDA's error string, and clears the runtime's last error so that the next call does
// not report it again.  (An error that corrupted the context is sticky in CUDA and stays.)
void check_call(cudaError_t result, const char* text,
                const std::source_location& place = std::source_location::current());

}  // namespace ferry
