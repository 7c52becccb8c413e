// Looks for values that are not finite on a GPU: right answers, and nothing that holds the loop of steps up.
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <limits>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/gpu/cuda_calls.h"
#include "tests/support/device_fixture.h"
#include "worker/stages/finite_flags.h"

namespace ferry::worker {
namespace {

using testing::cuda_calls;
using testing::CudaCalls;
using FiniteFlagsGpu = testing::DeviceTest;

TEST_F(FiniteFlagsGpu, EachLookHasItsOwnAnswer) {
  const model::TorchStream stream(device());
  const at::Tensor latent =
      at::randn({16, 21, 60, 104}, at::TensorOptions(model::torch_device(device())).dtype(at::kFloat));
  FiniteFlags flags(device(), 4);
  flags.look(0, latent);
  latent[15][20][59][103] = std::numeric_limits<float>::infinity();
  flags.look(1, latent);
  flags.look(2, latent.to(at::kBFloat16));
  device().compute().synchronize();
  EXPECT_TRUE(flags.finite(0));
  EXPECT_FALSE(flags.finite(1));
  EXPECT_FALSE(flags.finite(2));
  EXPECT_TRUE(flags.finite(3));
}

TEST_F(FiniteFlagsGpu, ALookNeitherAllocatesNorMakesNorWaits) {
  const model::TorchStream stream(device());
  const at::Tensor latent =
      at::randn({16, 21, 60, 104}, at::TensorOptions(model::torch_device(device())).dtype(at::kFloat));
  FiniteFlags flags(device(), 50);
  const CudaCalls before = cuda_calls();
  for (std::size_t i = 0; i < 50; ++i) flags.look(i, latent);
  EXPECT_EQ((cuda_calls() - before).total(), 0);
}

}  // namespace
}  // namespace ferry::worker
