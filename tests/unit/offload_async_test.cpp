#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "offload/async/async.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::CountingDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::same_bits;
using ::testing::ThrowsMessage;
using testing::toy_arena;
using testing::toy_forward;
using testing::toy_reference;
using testing::ToyShape;

struct Rig {
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  DeviceAccount account;
  std::unique_ptr<NodeArena> arena;
  std::unique_ptr<StageWeights> stage;
  explicit Rig(const Options& options, const ToyShape& shape = {}, bool poison = true)
      : arena(toy_arena(shape)),
        stage(testing::stage_over(*arena, options,
                                  {.device = &device, .account = &account, .peers = {}, .poison = poison})) {}
  Async& async() { return dynamic_cast<Async&>(stage->strategy()); }
};

Options async_options(double ratio = 1.0, int prefetch = 1) {
  return {.type = StrategyKind::Async, .offload_ratio = ratio, .prefetch_size = prefetch};
}

TEST(Residency, ResidentsAreSpreadEvenly) {
  Options options = async_options(0.5);
  EXPECT_THAT(plan_residency("dit", 8, options).offloaded, ElementsAre(1, 3, 5, 7));
  options.offload_ratio = 0.25;
  EXPECT_THAT(plan_residency("dit", 8, options).offloaded, ElementsAre(3, 7));
  options.offload_ratio = 0.75;
  EXPECT_THAT(plan_residency("dit", 8, options).resident, ElementsAre(0, 4));
}

TEST(Residency, RoundsTheRatioAndBoundsTheSlots) {
  EXPECT_EQ(plan_residency("dit", 7, async_options(0.5, 1)).offloaded.size(), 4U) << "3.5 rounds to 4";
  EXPECT_EQ(plan_residency("dit", 7, async_options(1.0, 3)).slots, 4);
  EXPECT_EQ(plan_residency("dit", 7, async_options(0.25, 3)).slots, 2) << "no more slots than blocks";
  EXPECT_EQ(plan_residency("dit", 7, async_options(0.0)).slots, 0);
}

TEST(Residency, RefusesValuesOutOfRange) {
  const auto plan = [](double ratio, int prefetch) {
    return [=] { plan_residency("dit", 7, async_options(ratio, prefetch)); };
  };
  EXPECT_THAT(plan(1.5, 1), ThrowsMessage<UserError>(HasSubstr("between 0 and 1")));
  EXPECT_THAT(plan(-0.1, 1), ThrowsMessage<UserError>(HasSubstr("dit.offload.offload_ratio: -0.1")));
  EXPECT_THAT(plan(NAN, 1), ThrowsMessage<UserError>(HasSubstr("between 0 and 1")));
  EXPECT_THAT(plan(1, 0), ThrowsMessage<UserError>(HasSubstr("between 1 and the 7 blocks")));
  EXPECT_THAT(plan(1, 8), ThrowsMessage<UserError>(HasSubstr("prefetch_size: 8")));
}

class AsyncMatrix : public ::testing::TestWithParam<std::tuple<double, int, bool, double>> {};

TEST_P(AsyncMatrix, GivesTheBitsOfWeightsThatAreSimplyThere) {
  const auto [ratio, prefetch, lazy, link] = GetParam();
  Options options = async_options(ratio, prefetch);
  options.lazy_gpu_cache = lazy;
  options.link_gbps = link;
  Rig rig(options);
  for (int pass = 0; pass < 3; ++pass) {
    EXPECT_TRUE(same_bits(toy_forward(*rig.stage, 2), toy_reference({}, 2))) << "pass " << pass;
  }
}

INSTANTIATE_TEST_SUITE_P(All, AsyncMatrix,
                         ::testing::Combine(::testing::Values(1.0, 0.5, 0.25), ::testing::Values(1, 2, 3, 7),
                                            ::testing::Bool(), ::testing::Values(0.0, 0.05)));

TEST(Async, OffloadRatioIsTheShareOfTheBytesThatIsFerried) {
  Rig all(async_options(1.0), {.layers = 8});
  Rig half(async_options(0.5), {.layers = 8});
  // Without the blocks that are fetched ahead for a pass that does not come.
  const auto per_pass = [](Rig& rig) {
    for (int i = 0; i < 2; ++i) toy_forward(*rig.stage);
    const std::uint64_t before = rig.stage->report().ferried_bytes;
    for (int i = 0; i < 2; ++i) toy_forward(*rig.stage);
    return (rig.stage->report().ferried_bytes - before) / 2;
  };
  const std::uint64_t whole = per_pass(all);
  EXPECT_EQ(per_pass(half), whole / 2);
  EXPECT_EQ(whole, all.arena->layout().block_bytes());
}

TEST(Async, PrefetchSizeIsTheNumberOfSlotsLessOne) {
  for (const int prefetch : {1, 2, 3}) {
    Rig rig(async_options(1.0, prefetch));
    EXPECT_EQ(rig.account.now(Category::Slots),
              static_cast<std::size_t>(prefetch + 1) * rig.arena->layout().largest_block());
    EXPECT_EQ(rig.stage->report().slots, prefetch + 1);
  }
}

TEST(Async, TwoBranchesInOnePassFerryEachBlockOnce) {
  Rig paired(async_options());
  toy_forward(*paired.stage, 2);
  Rig serial(async_options());
  toy_forward(*serial.stage, 1);
  const std::uint64_t first = serial.stage->report().ferried_bytes;
  EXPECT_EQ(paired.stage->report().ferried_bytes, first);
  toy_forward(*serial.stage, 1);
  EXPECT_EQ(serial.stage->report().ferried_bytes - first, serial.arena->layout().block_bytes());
}

TEST(Async, LazyGpuCacheTakesDeviceMemoryAtFirstUse) {
  Options options = async_options();
  Rig eager(options);
  EXPECT_EQ(eager.account.now(Category::Slots), 2 * eager.arena->layout().largest_block());
  options.lazy_gpu_cache = true;
  Rig lazy(options);
  EXPECT_EQ(lazy.account.now(), 0U);
  lazy.stage->prepare();
  EXPECT_EQ(lazy.account.now(Category::Slots), 0U);
  toy_forward(*lazy.stage);
  EXPECT_EQ(lazy.account.now(Category::Slots), 2 * lazy.arena->layout().largest_block());
}

TEST(Async, AllocateAndCleanUpGpuCacheByHandThenTheNextRunWorks) {
  Options options = async_options();
  options.lazy_gpu_cache = true;
  Rig rig(options);
  rig.async().allocate_gpu_cache();
  EXPECT_EQ(rig.account.now(Category::Slots), 2 * rig.arena->layout().largest_block());
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
  rig.async().cleanup_gpu_cache();
  EXPECT_EQ(rig.account.now(Category::Slots), 0U);
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
}

TEST(Async, DisableLoadsAllLayersAndEnableFerriesAgain) {
  Rig rig(async_options());
  toy_forward(*rig.stage);
  rig.async().disable_offload();
  EXPECT_EQ(rig.account.now(Category::Slots), 0U);
  const ArenaLayout& layout = rig.arena->layout();
  EXPECT_EQ(rig.account.now(Category::Resident),
            layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes);
  const std::uint64_t before = rig.stage->report().ferried_bytes;
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
  EXPECT_EQ(rig.stage->report().ferried_bytes, before);
  rig.async().enable_offload();
  EXPECT_EQ(rig.account.now(Category::Resident), layout.head.blob.bytes + layout.tail.blob.bytes);
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
  EXPECT_GT(rig.stage->report().ferried_bytes, before);
}

TEST(Async, ManualCallsInsideAForwardAreRefused) {
  Rig rig(async_options());
  const model::PassScope pass(*rig.stage, {});
  EXPECT_THROW(rig.async().allocate_gpu_cache(), std::invalid_argument);
  EXPECT_THROW(rig.async().cleanup_gpu_cache(), std::invalid_argument);
  EXPECT_THROW(rig.async().disable_offload(), std::invalid_argument);
}

TEST(Async, FinishGivesAllDeviceMemoryBackAndPrepareStartsAgain) {
  Rig rig(async_options(0.5));
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
  rig.stage->finish();
  EXPECT_EQ(rig.account.now(), 0U);
  rig.stage->prepare();
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
}

TEST(Async, AForwardAllocatesNothingMakesNoEventAndDoesNotWait) {
  Rig rig(async_options(1.0, 2));
  toy_forward(*rig.stage);
  rig.device.counts = {};
  for (int i = 0; i < 3; ++i) toy_forward(*rig.stage, 2);
  EXPECT_EQ(rig.device.counts.allocations, 0);
  EXPECT_EQ(rig.device.counts.events, 0);
  EXPECT_EQ(rig.device.counts.host_waits, 0);
  EXPECT_EQ(rig.device.counts.total(), 0);
}

TEST(Async, ViewsAreMadeOncePerSlot) {
  Rig rig(async_options());
  std::set<const void*> tensors;
  for (int i = 0; i < 4; ++i) {
    model::PassScope pass(*rig.stage, {});
    for (int b = 0; b < 7; ++b) {
      const model::BlockScope block(*rig.stage, b);
      tensors.insert(rig.stage->acquire({b, 2})[0].unsafeGetTensorImpl());
      rig.stage->release({b, 2});
    }
    pass.end();
  }
  EXPECT_EQ(tensors.size(), 2U);
}

// A pass that uses fewer modules, as a cross-attention does once its keys and values are cached.
void pass_without_k(model::Weights& weights) {
  model::PassScope pass(weights, {.kind = "short"});
  for (int b = 0; b < static_cast<int>(weights.spec().blocks.size()); ++b) {
    const model::BlockScope block(weights, b);
    for (const int m : {0, 1, 2, 4}) {
      const model::ModuleScope module(weights, {b, m});
      EXPECT_FALSE(module[0].isnan().any().item<bool>());
    }
  }
  pass.end();
}

TEST(Async, ModulesThatThePassesNoLongerUseAreNotFerriedAndComeBackOnDemand) {
  Rig rig(async_options());
  for (int i = 0; i < 3; ++i) pass_without_k(*rig.stage);
  const std::uint64_t before = rig.stage->report().ferried_bytes;
  pass_without_k(*rig.stage);
  const std::size_t k = place_of(rig.arena->layout(), {0, 3}).bytes;
  EXPECT_EQ(rig.stage->report().ferried_bytes - before, rig.arena->layout().block_bytes() - 7 * k);
  EXPECT_GT(rig.stage->report().skipped_bytes, 0U);
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
}

TEST(Gaps, AShareIsProportionalToTheGapAndShortGapsGetNothing) {
  EXPECT_THAT(shares_of({}), ElementsAre());
  EXPECT_THAT(shares_of({0.1, 0.2, 6, 2}), ElementsAre(0, 0, 0.75, 0.25));
}

TEST(Async, PoisonTurnsWhatASlotHeldIntoNaN) {
  for (const bool poison : {true, false}) {
    Rig rig(async_options(), {}, poison);
    std::vector<at::Tensor> k_views;  // of both slots
    {
      model::PassScope pass(*rig.stage, {.kind = "short"});
      for (int b = 0; b < 7; ++b) {
        const model::BlockScope block(*rig.stage, b);
        k_views.push_back(model::ModuleScope(*rig.stage, {b, 3})[0]);
        const model::ModuleScope q(*rig.stage, {b, 2});
      }
      pass.end();
    }
    for (int i = 0; i < 3; ++i) pass_without_k(*rig.stage);
    rig.stage->begin({.kind = "short"});
    rig.stage->acquire_block(0);
    // Nothing was copied over this slot's k since its last user was done with it.
    const auto* q = static_cast<const std::byte*>(rig.stage->acquire({0, 2})[0].data_ptr());
    const std::size_t distance =
        place_of(rig.arena->layout(), {0, 3}).offset - place_of(rig.arena->layout(), {0, 2}).offset;
    const at::Tensor& k = k_views[0].data_ptr() == q + distance ? k_views[0] : k_views[1];
    ASSERT_EQ(k.data_ptr(), q + distance);
    EXPECT_EQ(k.isnan().all().item<bool>(), poison);
    rig.stage->release_block(0);
    EXPECT_THROW(rig.stage->end(), std::invalid_argument);
  }
}

TEST(Async, ABrokenPassDoesNotSpoilTheNext) {
  Rig rig(async_options());
  try {
    const model::PassScope pass(*rig.stage, {});
    const model::BlockScope block(*rig.stage, 0);
    throw std::runtime_error("out of patience");
  } catch (const std::runtime_error&) {  // the pass is broken
  }
  EXPECT_TRUE(same_bits(toy_forward(*rig.stage), toy_reference({})));
}

TEST(Async, VramLimitBelowTheLeastThatWorksSaysHowMuchIsNeeded) {
  Options options = async_options();
  options.vram_limit = 1e-6;
  EXPECT_THAT([&] { Rig rig(options); }, ThrowsMessage<UserError>(HasSubstr("needs at least")));
  options.vram_limit = 1;
  EXPECT_NO_THROW(Rig rig(options));
}

TEST(Async, ALinkOfAGivenSpeedTakesItsTime) {
  Options options = async_options();
  Rig probe(options);
  const double bytes = static_cast<double>(probe.arena->layout().block_bytes());
  options.link_gbps = bytes / 0.2 / 1e9;  // one pass in 0.2 s
  Rig rig(options);
  toy_forward(*rig.stage);
  const Clock::time_point begin = Clock::now();
  toy_forward(*rig.stage);
  const double seconds = seconds_since(begin);
  EXPECT_GT(seconds, 0.2 * 5 / 7 - 0.01) << "two of seven blocks were there";
  // Of 143 ms; what is computed meanwhile, slowly under a sanitizer, hides the rest.
  EXPECT_GT(rig.stage->report().exposed_copy_ms, 50);
}

}  // namespace
}  // namespace ferry::offload
