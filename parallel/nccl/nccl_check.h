// FERRY_CHECK for NCCL.
#pragma once

#include <nccl.h>

#include <source_location>

#include "base/error.h"

namespace ferry {

// Throws NcclError with NCCL's error string.  Accepts ncclInProgress, which NcclGroup waits out.
void check_call(ncclResult_t result, const char* text,
                const std::source_location& place = std::source_location::current());

}  // namespace ferry
