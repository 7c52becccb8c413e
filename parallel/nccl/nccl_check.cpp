#include "parallel/nccl/nccl_check.h"

#include <string>

namespace ferry {

void check_call(ncclResult_t result, const char* text, const std::source_location& place) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw NcclError(at_place(text, place) + ": " + ncclGetErrorString(result) + " (" +
                  ncclGetLastError(nullptr) + ")");
}

}  // namespace ferry
