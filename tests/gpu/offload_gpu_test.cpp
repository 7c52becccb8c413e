// Offloading on a GPU: the bits of `none` under every strategy, on one rank.
#include <gtest/gtest.h>

#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::same_bits;

class OffloadGpu : public testing::DeviceTest {
 protected:
  StageSetup setup() { return {.device = &device(), .account = &account_, .peers = {}, .poison = true}; }
  at::Tensor latent(const Options& options, bool paired = true) {
    const auto arena = testing::dit_arena({}, options, DType::BF16);
    return latent_of(*arena, options, paired);
  }
  at::Tensor latent_of(NodeArena& arena, const Options& options, bool paired = true) {
    const auto stage = testing::stage_over(arena, options, setup());
    const at::Tensor x = testing::denoise({.device = &device(), .paired = paired}, *stage).cpu();
    stage->finish();
    EXPECT_EQ(account_.now() == 0, options.type != StrategyKind::None);
    return x;
  }
  DeviceAccount account_;
};

TEST_F(OffloadGpu, EveryStrategyGivesTheBitsOfNone) {
  const at::Tensor expected = latent({.type = StrategyKind::None});
  ASSERT_FALSE(expected.isnan().any().item<bool>());
  EXPECT_TRUE(same_bits(latent({.type = StrategyKind::Model}), expected));
  for (const double ratio : {1.0, 0.5, 0.25}) {
    for (const int prefetch : {1, 2, 3}) {
      for (const bool paired : {true, false}) {
        const Options options{.type = StrategyKind::Async, .offload_ratio = ratio, .prefetch_size = prefetch};
        EXPECT_TRUE(same_bits(latent(options, paired), expected))
            << ratio << " " << prefetch << " " << paired;
      }
    }
  }
  EXPECT_TRUE(same_bits(latent({.type = StrategyKind::Async, .pin_cpu_memory = false}), expected));
  EXPECT_TRUE(
      same_bits(latent({.type = StrategyKind::Async, .lazy_gpu_cache = true, .link_gbps = 0.2}), expected));
  Options sequential{.type = StrategyKind::Sequential};
  EXPECT_TRUE(same_bits(latent(sequential), expected));
  sequential.vram_limit = 1;
  EXPECT_TRUE(same_bits(latent(sequential), expected));
  sequential.module_config = {{"offload_dtype", "fp32"}};
  EXPECT_TRUE(same_bits(latent(sequential), expected));
}

TEST_F(OffloadGpu, TheArenaIsPageLocked) {
  const auto arena = testing::dit_arena({}, {}, DType::BF16);
  EXPECT_TRUE(arena->pin(device()));
  EXPECT_TRUE(arena->pinned());
}

// The driver refuses memory that is registered already: a real refusal, in the middle of the arena.
TEST_F(OffloadGpu, WhatCannotBePageLockedIsFerriedAllTheSame) {
  const at::Tensor expected = latent({.type = StrategyKind::None});
  const auto arena = testing::dit_arena({}, {}, DType::BF16);
  const Blob& third = arena->layout().blocks[2].blob;
  device().pin(arena->data() + third.offset, third.bytes);
  EXPECT_FALSE(arena->pin(device()));
  EXPECT_FALSE(arena->pinned());
  device().unpin(arena->data() + third.offset);
  for (const StrategyKind type : {StrategyKind::Async, StrategyKind::Sequential, StrategyKind::Model}) {
    EXPECT_TRUE(same_bits(latent_of(*arena, {.type = type}), expected)) << name_of(type);
  }
}

TEST_F(OffloadGpu, AForwardAllocatesNothingMakesNoEventAndDoesNotWait) {
  testing::CountingDevice counting(device());
  StageSetup setup = this->setup();
  setup.device = &counting;
  const auto arena = testing::toy_arena({});
  const auto stage = testing::stage_over(*arena, {.type = StrategyKind::Async}, setup);
  const model::TorchStream on(counting);
  const auto pass = [&] {
    model::PassScope scope(*stage, {});
    for (int b = 0; b < 7; ++b) {
      const model::BlockScope block(*stage, b);
      const model::ModuleScope q(*stage, {b, 2});
    }
    scope.end();
  };
  pass();
  counting.counts = {};
  for (int i = 0; i < 3; ++i) pass();
  EXPECT_EQ(counting.counts.total(), 0);
}

}  // namespace
}  // namespace ferry::offload
