// Initial noise of a video (wan21.md section 6.6).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "base/device.h"
#include "worker/job/job.h"

namespace ferry::worker {

// [C, T, h, w] fp32 on the device: normal values of a generator seeded with job.seed, or the tensor `noise`
// of the job's file.  The CPU's generator (mt19937) gives the same values everywhere; CUDA's (Philox) depends
// on the GPU's number of multiprocessors.
at::Tensor make_noise(const Job& job, const Device& device);

// A tensor of a safetensors file as fp32 on the CPU.  Throws UserError: no such file or tensor, damage.
at::Tensor read_float_tensor(const std::string& path, const std::string& name);

// The source of the noise as named in the record.
std::string noise_source(const Job& job);

}  // namespace ferry::worker
