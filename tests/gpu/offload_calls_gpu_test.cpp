// What a forward under offloading asks of the CUDA runtime itself, beneath base/.
#include <gtest/gtest.h>

#include "model/torch_stream.h"
#include "tests/gpu/cuda_calls.h"
#include "tests/support/gpu.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::cuda_calls;
using testing::CudaCalls;
using CudaCallsGpu = testing::GpuTest;

// Of three passes over the toy's blocks, after `warm_up` passes.
CudaCalls calls_of_passes(Device& device, const Options& options, int warm_up) {
  DeviceAccount account;
  const auto arena = testing::toy_arena({}, options);
  const auto stage =
      make_stage(*arena, options, {.device = &device, .account = &account, .peers = {}, .poison = true});
  const model::TorchStream on(device);
  const auto pass = [&] {
    const model::PassScope scope(*stage, {});
    for (int b = 0; b < 7; ++b) {
      const model::BlockScope block(*stage, b);
      for (const int module : {0, 1, 2, 3, 4}) const model::ModuleScope held(*stage, {b, module});
    }
  };
  for (int i = 0; i < warm_up; ++i) pass();
  const CudaCalls before = cuda_calls();
  for (int i = 0; i < 3; ++i) pass();
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

TEST_F(CudaCallsGpu, AnAsyncForwardNeitherAllocatesNorMakesNorWaits) {
  for (const int prefetch : {1, 2, 3}) {
    const Options options{.type = Type::Async, .prefetch_size = prefetch};
    EXPECT_EQ(calls_of_passes(device(), options, 1).total(), 0) << prefetch;
  }
}

TEST_F(CudaCallsGpu, NorDoesASequentialOneOnceItsPoolIsThere) {
  for (const bool limit : {false, true}) {
    Options options{.type = Type::Sequential};
    options.module_config = {{"offload_dtype", "fp32"}};
    if (limit) options.vram_limit = 1;
    EXPECT_EQ(calls_of_passes(device(), options, 1).total(), 0) << limit;
  }
}

}  // namespace
}  // namespace ferry::offload
