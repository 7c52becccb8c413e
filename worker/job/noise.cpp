#include "worker/job/noise.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>

#include <cstring>

#include "checkpoint/formats/safetensors.h"
#include "model/tensor.h"

namespace ferry::worker {
namespace {

at::Tensor draw(const Job& job, at::Device where) {
  at::Generator generator = at::globalContext().defaultGenerator(where).clone();
  generator.set_current_seed(static_cast<std::uint64_t>(job.seed));
  return at::randn(job.latent_shape, generator, at::TensorOptions(where).dtype(at::kFloat));
}

}  // namespace

at::Tensor read_float_tensor(const std::string& path, const std::string& name) {
  const auto file = checkpoint::SafetensorsFile::open(path);
  const checkpoint::TensorEntry& entry = file.at(name);
  at::Tensor tensor = at::empty(entry.shape, at::kFloat);
  const model::TensorSpec spec{.key = name, .shape = entry.shape, .dtype = DType::F32};
  checkpoint::read_tensor(entry, spec, static_cast<std::byte*>(tensor.mutable_data_ptr()));
  return tensor;
}

at::Tensor make_noise(const Job& job, const Device& device) {
  const at::Device target = model::torch_device(device);
  if (job.noise_device == "file") return read_float_tensor(job.noise, "noise").to(target);
  return draw(job, job.noise_device == "cuda" ? target : at::Device(at::kCPU)).to(target);
}

std::string noise_source(const Job& job) {
  if (job.noise_device == "file") return "file " + job.noise;
  return job.noise_device == "cuda" ? "cuda generator (philox)" : "cpu generator (mt19937)";
}

}  // namespace ferry::worker
