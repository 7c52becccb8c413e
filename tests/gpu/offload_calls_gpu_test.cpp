// What a forward under offloading asks of the CUDA runtime itself, beneath base/ and LibTorch.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "model/kernels/fa3.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/gpu/cuda_calls.h"
#include "tests/support/device_fixture.h"
#include "tests/support/plain_weights.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::cuda_calls;
using testing::CudaCalls;
using CudaCallsGpu = testing::DeviceTest;

// Of three passes over the toy's blocks, after `warm_up` passes.
CudaCalls calls_of_passes(Device& device, const Options& options, int warm_up) {
  DeviceAccount account;
  const auto arena = testing::toy_arena({}, options);
  const auto stage = testing::stage_over(
      *arena, options, {.device = &device, .account = &account, .peers = {}, .poison = true});
  const model::TorchStream on(device);
  const auto pass = [&] {
    model::PassScope scope(*stage, {});
    for (int b = 0; b < 7; ++b) {
      const model::BlockScope block(*stage, b);
      for (const int module : {0, 1, 2, 3, 4}) const model::ModuleScope held(*stage, {b, module});
    }
    scope.end();
  };
  for (int i = 0; i < warm_up; ++i) pass();
  const CudaCalls before = cuda_calls();
  for (int i = 0; i < 3; ++i) pass();
  return cuda_calls() - before;
}

// Of three forwards of the small DiT after two, both guidance branches in each.
CudaCalls calls_of_forwards(Device& device, const Options& options,
                            const model::kernels::Attention& attention = model::kernels::Attention()) {
  DeviceAccount account;
  const auto arena = testing::dit_arena({}, options, DType::BF16);
  const auto stage = testing::stage_over(
      *arena, options, {.device = &device, .account = &account, .peers = {}, .poison = true});
  testing::DitForwards forwards({.device = &device, .attention = attention}, *stage);
  for (int i = 0; i < 2; ++i) forwards.run(900);
  const CudaCalls before = cuda_calls();
  for (const double timestep : {900.0, 650.0, 400.0}) forwards.run(timestep);
  return cuda_calls() - before;
}

TEST_F(CudaCallsGpu, TheCounterCounts) {
  const CudaCalls before = cuda_calls();
  device().allocate(256);
  const auto event = device().make_event(EventKind::Order);
  event->synchronize();
  device().compute().synchronize();
  const CudaCalls calls = cuda_calls() - before;
  EXPECT_EQ(calls.allocations, 2);
  EXPECT_EQ(calls.made, 1);
  EXPECT_EQ(calls.host_waits, 2);
}

TEST_F(CudaCallsGpu, TheCounterSeesLibTorch) {
  const at::Device place = model::torch_device(device());
  const CudaCalls before = cuda_calls();
  const at::Tensor x = at::empty({std::int64_t{64} << 20}, at::TensorOptions().device(place));
  EXPECT_GE((cuda_calls() - before).allocations, 1);
  const CudaCalls allocated = cuda_calls();
  x[0].cpu();
  EXPECT_GE((cuda_calls() - allocated).host_waits, 1);
}

TEST_F(CudaCallsGpu, AnAsyncForwardNeitherAllocatesNorMakesNorWaits) {
  for (const int prefetch : {1, 2, 3}) {
    const Options options{.type = StrategyKind::Async, .prefetch_size = prefetch};
    EXPECT_EQ(calls_of_passes(device(), options, 1).total(), 0) << prefetch;
  }
}

TEST_F(CudaCallsGpu, NorDoesASequentialOneOnceItsPoolIsThere) {
  for (const bool limit : {false, true}) {
    Options options{.type = StrategyKind::Sequential};
    options.module_config = {{"offload_dtype", "fp32"}};
    if (limit) options.vram_limit = 1;
    EXPECT_EQ(calls_of_passes(device(), options, 1).total(), 0) << limit;
  }
}

TEST_F(CudaCallsGpu, ForwardsOfTheDitAllocateNothingMakeNoEventAndDoNotWait) {
  for (const StrategyKind type :
       {StrategyKind::None, StrategyKind::Model, StrategyKind::Async, StrategyKind::Sequential}) {
    const CudaCalls calls = calls_of_forwards(device(), {.type = type});
    EXPECT_EQ(calls.allocations, 0) << name_of(type);
    EXPECT_EQ(calls.made, 0) << name_of(type);
    EXPECT_EQ(calls.host_waits, 0) << name_of(type);
    EXPECT_EQ(calls.pinned, 0) << name_of(type);
  }
}

TEST_F(CudaCallsGpu, NorDoForwardsWithFa3) {
  const std::string file = model::kernels::find_fa3();
  if (file.empty() || !model::kernels::takes_fa3(device()))
    GTEST_SKIP() << "no fa3-fwd, or no GPU that takes it";
  const CudaCalls calls =
      calls_of_forwards(device(), {.type = StrategyKind::Async}, model::kernels::load_fa3(file, device()));
  EXPECT_EQ(calls.total(), 0);
}

}  // namespace
}  // namespace ferry::offload
