#include <cuda_runtime.h>

#include <string>

#include "base/error.h"
#include "model/kernels/cuda/launch.h"

namespace ferry::model::kernels::cuda {

int multiprocessors() {
  int device = 0;
  int count = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) throw CudaError(std::string("multiprocessors: ") + cudaGetErrorString(error));
  return count;
}

}  // namespace ferry::model::kernels::cuda
