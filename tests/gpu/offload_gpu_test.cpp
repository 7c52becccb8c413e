// Offloading on a GPU: the bits of `none` under every strategy, on one rank.
#include <gtest/gtest.h>

#include "model/torch_stream.h"
#include "tests/support/gpu.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::same_bits;

class OffloadGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() > 0) {
      device_ = make_cuda_device(0);
      return;
    }
    if (testing::gpu_required()) FAIL() << "FERRY_REQUIRE_GPU=1, but no GPU is usable";
    GTEST_SKIP() << "no GPU";
  }
  StageSetup setup() { return {.device = device_.get(), .account = &account_, .peers = {}, .poison = true}; }
  at::Tensor latent(const Options& options, bool paired = true) {
    const auto arena = testing::dit_arena({}, options, DType::BF16);
    const auto stage = make_stage(*arena, options, setup());
    const at::Tensor x = testing::denoise({.device = device_.get(), .paired = paired}, *stage).cpu();
    stage->finish();
    EXPECT_EQ(account_.now() == 0, options.type != Type::None);
    return x;
  }
  std::unique_ptr<Device> device_;
  DeviceAccount account_;
};

TEST_F(OffloadGpu, EveryStrategyGivesTheBitsOfNone) {
  const at::Tensor expected = latent({.type = Type::None});
  ASSERT_FALSE(expected.isnan().any().item<bool>());
  EXPECT_TRUE(same_bits(latent({.type = Type::Model}), expected));
  for (const double ratio : {1.0, 0.5, 0.25}) {
    for (const int prefetch : {1, 2, 3}) {
      for (const bool paired : {true, false}) {
        const Options options{.type = Type::Async, .offload_ratio = ratio, .prefetch_size = prefetch};
        EXPECT_TRUE(same_bits(latent(options, paired), expected))
            << ratio << " " << prefetch << " " << paired;
      }
    }
  }
  EXPECT_TRUE(same_bits(latent({.type = Type::Async, .pin_cpu_memory = false}), expected));
  EXPECT_TRUE(same_bits(latent({.type = Type::Async, .lazy_gpu_cache = true, .link_gbps = 0.2}), expected));
  Options sequential{.type = Type::Sequential};
  EXPECT_TRUE(same_bits(latent(sequential), expected));
  sequential.vram_limit = 1;
  EXPECT_TRUE(same_bits(latent(sequential), expected));
  sequential.module_config = {{"offload_dtype", "fp32"}};
  EXPECT_TRUE(same_bits(latent(sequential), expected));
}

TEST_F(OffloadGpu, TheArenaIsPageLocked) {
  const auto arena = testing::dit_arena({}, {}, DType::BF16);
  EXPECT_TRUE(arena->pin(*device_));
  EXPECT_TRUE(arena->pinned());
}

TEST_F(OffloadGpu, AForwardAllocatesNothingMakesNoEventAndDoesNotWait) {
  testing::CountingDevice counting(*device_);
  StageSetup setup = this->setup();
  setup.device = &counting;
  const auto arena = testing::toy_arena({});
  const auto stage = make_stage(*arena, {.type = Type::Async}, setup);
  const model::TorchStream on(counting);
  const auto pass = [&] {
    const model::PassScope scope(*stage, {});
    for (int b = 0; b < 7; ++b) {
      const model::BlockScope block(*stage, b);
      const model::ModuleScope q(*stage, {b, 2});
    }
  };
  pass();
  counting.counts = {};
  for (int i = 0; i < 3; ++i) pass();
  EXPECT_EQ(counting.counts.total(), 0);
}

}  // namespace
}  // namespace ferry::offload
