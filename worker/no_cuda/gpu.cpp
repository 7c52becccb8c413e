#include "worker/gpu.h"

namespace ferry::worker {

std::string cuda_version() { return "none"; }
std::string nccl_version() { return "none"; }
TorchPeak torch_peak(const Device&) { return {}; }
std::size_t torch_held(const Device&) { return 0; }
void reset_torch_peak(const Device&) {}
void release_torch_cache(const Device&) {}

}  // namespace ferry::worker
