// A decode with no more memory free than model/vae/activations.h says it takes.
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/activations.h"
#include "model/vae/vae.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"
#include "tests/unit/vae_reference.h"
#include "worker/gpu.h"
#include "worker/job/job.h"
#include "worker/output/frames.h"

namespace ferry::worker {
namespace {

class DecodeMemoryGpu : public ferry::testing::DeviceTest {
 protected:
  void decode(ferry::testing::PlainWeights& weights, const Job& job, DType compute) {
    const model::TorchStream stream(device());
    const at::Tensor latent =
        at::randn({16, 3, job.height / 8, job.width / 8}, at::device(model::torch_device(device())));
    model::VaeDecoder decoder(config, weights, {&device(), compute});
    decoder.decode(latent, [](std::int64_t, const at::Tensor& frames) { to_rgb8(frames); });
    device().compute().synchronize();
  }

  const model::VaeConfig config = ferry::testing::vae_config_of(96, {1, 2, 4, 4}, {false, true, true}, 2);
};

Job job_of(std::int64_t width, std::int64_t height) {
  Job job;
  job.width = width;
  job.height = height;
  return job;
}

TEST_F(DecodeMemoryGpu, WorksInWhatIsEstimatedAndUsesMostOfIt) {
  const auto tensors = ferry::testing::random_weights(config);
  for (const DType compute : {DType::F32, DType::BF16}) {
    ferry::testing::PlainWeights weights(
        model::vae_decoder_spec(config, compute),
        [&](const model::TensorSpec& spec) { return tensors.at(spec.key); }, model::torch_device(device()));
    decode(weights, job_of(64, 64), compute);  // the libraries load their kernels
    for (const Job& job : {job_of(832, 480), job_of(1280, 720)}) {
      release_torch_cache(device());
      reset_torch_peak(device());
      const std::size_t before = torch_peak(device()).allocated_bytes;
      const std::size_t estimate =
          activation_bytes(config, {.width = job.width, .height = job.height}, compute);
      const DeviceMemory ballast = device().allocate(device().memory().free_bytes - estimate);
      EXPECT_NO_THROW(decode(weights, job, compute)) << job.width << " " << name_of(compute);
      const std::size_t used = torch_peak(device()).allocated_bytes - before;
      EXPECT_LE(used, estimate) << job.width << " " << name_of(compute);
      EXPECT_GE(used, estimate / 5 * 4) << job.width << " " << name_of(compute);
      RecordProperty("used_over_estimate_" + std::to_string(job.width) + std::string(name_of(compute)),
                     std::to_string(static_cast<double>(used) / static_cast<double>(estimate)));
    }
  }
}

}  // namespace
}  // namespace ferry::worker
