#include "base/cuda/check.h"

#include <string>

namespace ferry {

void check_call(cudaError_t result, const char* text, const std::source_location& place) {
  if (result == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw CudaError(at_place(text, place) + ": " + cudaGetErrorString(result));
}

}  // namespace ferry
