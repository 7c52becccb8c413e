#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>

#include <numeric>

#include "base/clock.h"
#include "base/error.h"
#include "offload/sequential/sequential.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::CountingDevice;
using ::testing::HasSubstr;
using testing::same_bits;
using ::testing::ThrowsMessage;
using testing::toy_arena;
using testing::toy_forward;
using testing::toy_reference;
using testing::ToyShape;

constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr model::ModuleId kQ{.block = 2, .module = 2};
constexpr model::ModuleId kFfn{.block = 2, .module = 4};

using Keys = std::map<std::string, std::string>;

Options sequential_options(Keys module_config = {}) {
  Options options{.type = StrategyKind::Sequential};
  options.module_config = std::move(module_config);
  return options;
}

struct Rig {
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  DeviceAccount account;
  std::unique_ptr<NodeArena> arena;
  StageSetup setup{.device = &device, .account = &account, .peers = {}, .poison = true};
  std::unique_ptr<StageWeights> stage;
  explicit Rig(const Options& options, const ToyShape& shape = {})
      : arena(toy_arena(shape, options)), stage(testing::stage_over(*arena, options, setup)) {}
  Sequential& sequential() { return dynamic_cast<Sequential&>(stage->strategy()); }
  std::size_t bytes_of(model::ModuleId id) const { return place_of(arena->layout(), id).bytes; }
};

bool exact(Rig& rig) { return same_bits(toy_forward(*rig.stage, 2), toy_reference({}, 2)); }

// Every combination of the four inputs, against the document's flow written out.
TEST(SequentialState, TheTransitionTable) {
  for (const State state : {State::Offload, State::Onload, State::Keep}) {
    for (int bits = 0; bits < 8; ++bits) {
      const PromotionInputs inputs{.state = state,
                                   .onload_is_computation = (bits & 1) != 0,
                                   .has_limit = (bits & 2) != 0,
                                   .fits = (bits & 4) != 0};
      Use expected = Use::Cast;
      if (inputs.has_limit && inputs.fits) expected = Use::Promote;
      if (state == State::Onload && inputs.onload_is_computation) expected = Use::Directly;
      if (state == State::Keep) expected = Use::Directly;
      EXPECT_EQ(decide_use(inputs), expected) << name_of(state) << " " << bits;
    }
  }
}

TEST(SequentialState, StatesHaveTheDocumentsNumbers) {
  EXPECT_EQ(static_cast<int>(State::Offload), 0);
  EXPECT_EQ(static_cast<int>(State::Onload), 1);
  EXPECT_EQ(static_cast<int>(State::Keep), 2);
}

TEST(Sequential, WithoutALimitNothingIsPromotedAndNothingStays) {
  Rig rig(sequential_options());
  EXPECT_TRUE(exact(rig));
  EXPECT_EQ(rig.stage->report().promotions, 0U);
  EXPECT_EQ(rig.account.now(Category::Keep), 0U);
  EXPECT_EQ(rig.sequential().state(kQ), State::Offload);
  EXPECT_EQ(rig.account.now(Category::Resident), 0U) << "everything is wrapped";
}

TEST(Sequential, AllStatesGiveTheSameBits) {
  Rig rig(sequential_options());
  rig.sequential().onload();
  EXPECT_TRUE(exact(rig));
  rig.sequential().keep();
  EXPECT_TRUE(exact(rig));
  rig.sequential().offload();
  EXPECT_TRUE(exact(rig));
}

TEST(Sequential, WiderStorageGivesTheSameBits) {
  Rig rig(sequential_options({{"offload_dtype", "fp32"}}));
  EXPECT_GT(rig.arena->bytes(), toy_arena({})->bytes());
  EXPECT_TRUE(exact(rig));
  rig.sequential().onload();
  EXPECT_TRUE(exact(rig));
}

TEST(Sequential, VramLimitPromotesBelowAndNotAbove) {
  Options options = sequential_options();
  options.vram_limit = 1;
  Rig roomy(options);
  EXPECT_TRUE(exact(roomy));
  EXPECT_EQ(roomy.sequential().state(kQ), State::Keep);
  EXPECT_EQ(roomy.account.now(Category::Keep), [&] {
    std::size_t bytes = 0;
    for (const model::ModuleId id : all_modules(roomy.arena->spec())) {
      if (!model::module_of(roomy.arena->spec(), id).host_only) bytes += roomy.bytes_of(id);
    }
    return bytes;
  }());
  const std::uint64_t ferried = roomy.stage->report().ferried_bytes;
  EXPECT_TRUE(exact(roomy));
  EXPECT_EQ(roomy.stage->report().ferried_bytes, ferried) << "kept modules are not copied again";

  const std::size_t limit = 200'000;
  options.vram_limit = static_cast<double>(limit) / kGiB;
  Rig tight(options);
  EXPECT_TRUE(exact(tight));
  EXPECT_TRUE(exact(tight));
  EXPECT_GT(tight.stage->report().promotions, 0U);
  EXPECT_LE(tight.account.peak(), limit);
  EXPECT_EQ(tight.sequential().state({6, 4}), State::Offload) << "the last ffn no longer fitted";
}

TEST(Sequential, KeptModulesMakeRoomForAnotherStage) {
  Options options = sequential_options();
  options.vram_limit = 400'000 / kGiB;
  Rig rig(options);
  EXPECT_TRUE(exact(rig));
  const std::size_t kept = rig.account.now(Category::Keep);
  ASSERT_GT(kept, 200'000U);
  const auto other_arena = toy_arena({.layers = 2});
  const auto other = testing::stage_over(*other_arena, {.type = StrategyKind::Model}, rig.setup);
  other->prepare();
  EXPECT_GT(rig.stage->report().demotions, 0U);
  EXPECT_LE(rig.account.now(), 400'000U);
  EXPECT_TRUE(exact(rig));
  EXPECT_LE(rig.account.now(), 400'000U);
  other->finish();
  EXPECT_TRUE(exact(rig));
  EXPECT_EQ(rig.account.now(Category::Keep), kept) << "promoted again once there is room";
}

TEST(Sequential, ALimitBindsOthersOnlyWhileItsStageRuns) {
  Options options = sequential_options();
  options.vram_limit = 400'000 / kGiB;
  Rig rig(options);
  EXPECT_FALSE(rig.account.limit().has_value());
  for (int use = 0; use < 2; ++use) {
    EXPECT_TRUE(exact(rig));
    EXPECT_EQ(rig.account.limit(), 400'000U);
    EXPECT_GT(rig.account.reclaim(1), 0U);
    rig.stage->finish();
    EXPECT_FALSE(rig.account.limit().has_value());
  }
}

TEST(Sequential, OffloadDtypeIsWhatTheHostKeeps) {
  Rig rig(sequential_options({{"offload_dtype", "fp8"}}));
  EXPECT_LT(rig.bytes_of(kQ), 96 * 96 * 2U);
  const std::vector<at::Tensor> narrow = toy_forward(*rig.stage);
  const std::vector<at::Tensor> reference = toy_reference({});
  EXPECT_FALSE(same_bits(narrow, reference));
  // e4m3 keeps three bits of the fraction: a weight is off by 2^-4 at most, outputs by far less.
  const double error = (narrow[0] - reference[0]).norm().item<double>() / reference[0].norm().item<double>();
  EXPECT_LT(error, 0.1);
}

TEST(Sequential, AWrappedNormIsKeptNarrowAndComputesWide) {
  constexpr model::ModuleId kNorm{.block = 2, .module = 0};
  Rig rig(sequential_options({{"offload_dtype", "bf16"}}));
  EXPECT_EQ(place_of(rig.arena->layout(), kNorm).tensors[0].dtype, DType::BF16);
  model::PassScope pass(*rig.stage, {});
  for (int b = 0; b < 7; ++b) {
    const model::BlockScope block(*rig.stage, b);
    if (b != kNorm.block) continue;
    EXPECT_EQ(model::ModuleScope(*rig.stage, kNorm)[0].scalar_type(), at::kFloat);
  }
  pass.end();
}

TEST(Sequential, OffloadDeviceCudaHoldsTheStoredBytesOnTheDevice) {
  Rig rig(sequential_options({{"offload_device", "cuda"}, {"offload_dtype", "fp32"}}));
  rig.stage->prepare();
  EXPECT_GE(rig.account.now(Category::Resident), rig.arena->layout().block_bytes() * 9 / 10);
  EXPECT_TRUE(exact(rig));
  EXPECT_EQ(rig.stage->report().ferried_bytes, 0U) << "casts read the device";
}

TEST(Sequential, OnloadDtypeAndDeviceArePlacedByOnload) {
  Rig wide(sequential_options({{"onload_dtype", "fp32"}}));
  wide.sequential().onload(kQ);
  EXPECT_EQ(wide.sequential().state(kQ), State::Onload);
  EXPECT_GE(wide.account.now(Category::Keep), 96 * 96 * 4U);
  EXPECT_TRUE(exact(wide));
  EXPECT_EQ(wide.sequential().state(kQ), State::Onload) << "cast for each call, the state stays";

  Rig on_host(sequential_options({{"onload_device", "cpu"}, {"onload_dtype", "fp32"}}));
  on_host.sequential().onload();
  EXPECT_EQ(on_host.account.now(Category::Keep), 0U);
  EXPECT_TRUE(exact(on_host));
}

TEST(Sequential, AModuleOnloadedAsItComputesIsUsedDirectly) {
  Rig rig(sequential_options());
  rig.sequential().onload();
  rig.stage->prepare();
  EXPECT_TRUE(exact(rig));
  EXPECT_EQ(rig.stage->report().ferried_bytes, 0U);
}

TEST(Sequential, OverflowModulesNeverGoToTheDeviceBeforeTheyAreUsed) {
  Options options = sequential_options();
  options.max_num_param = 10'000;
  options.overflow_module_config = {{"onload_device", "cpu"}};
  Rig rig(options);
  rig.sequential().onload();
  EXPECT_EQ(rig.sequential().state(kFfn), State::Onload);
  std::size_t small = 0;
  for (const model::ModuleId id : all_modules(rig.arena->spec())) {
    const model::ModuleSpec& module = model::module_of(rig.arena->spec(), id);
    if (!module.host_only && id.module != kFfn.module) small += rig.bytes_of(id);
  }
  EXPECT_EQ(rig.account.now(Category::Keep), small) << "all but the ffn of each block";
  EXPECT_TRUE(exact(rig));
}

TEST(Sequential, ModulesThatAreNotInTheMapStayOnTheDevice) {
  Options options = sequential_options();
  options.module_map = "linear";
  Rig rig(options);
  rig.stage->prepare();
  EXPECT_EQ(rig.account.now(Category::Resident), 7 * (rig.bytes_of({0, 0}) + rig.bytes_of({0, 1})));
  EXPECT_FALSE(rig.sequential().is_wrapped({0, 0}));
  EXPECT_THROW(rig.sequential().keep({0, 0}), std::invalid_argument);
  EXPECT_TRUE(exact(rig));
}

TEST(Sequential, ManualControlOfOneModule) {
  Rig rig(sequential_options());
  rig.stage->prepare();
  rig.sequential().keep(kQ);
  EXPECT_EQ(rig.sequential().state(kQ), State::Keep);
  EXPECT_EQ(rig.account.now(Category::Keep), rig.bytes_of(kQ));
  EXPECT_TRUE(exact(rig));
  rig.sequential().offload(kQ);
  EXPECT_EQ(rig.account.now(Category::Keep), 0U);
  const model::PassScope pass(*rig.stage, {});
  const model::ModuleScope in(*rig.stage, {model::ModuleId::kHead, 1});
  EXPECT_THROW(rig.sequential().keep({model::ModuleId::kHead, 1}), std::invalid_argument);
}

TEST(Sequential, VramLimitBelowTheLargestModuleSaysHowMuchIsNeeded) {
  Options options = sequential_options();
  options.vram_limit = 1e-6;
  EXPECT_THAT([&] { Rig rig(options); }, ThrowsMessage<UserError>(HasSubstr("sequential needs at least")));
}

TEST(Sequential, LaterForwardsAllocateNothingAndDoNotWait) {
  for (const double limit : {0.0, 300'000 / kGiB}) {
    Options options = sequential_options({{"offload_dtype", "fp32"}});
    if (limit > 0) options.vram_limit = limit;
    Rig rig(options);
    toy_forward(*rig.stage);
    rig.device.counts = {};
    for (int i = 0; i < 3; ++i) toy_forward(*rig.stage, 2);
    EXPECT_EQ(rig.device.counts.total(), 0) << limit;
  }
}

TEST(Sequential, CopiesOfCallsAreMeasuredAndExposed) {
  Options options = sequential_options();
  options.link_gbps = 0.005;
  Rig rig(options);
  const Clock::time_point begin = Clock::now();
  EXPECT_TRUE(exact(rig));
  const double wall_ms = 1e3 * seconds_since(begin);
  const Report report = rig.stage->report();
  const double least_ms = 1e3 * static_cast<double>(report.ferried_bytes) / (options.link_gbps * 1e9);
  EXPECT_GT(report.exposed_copy_ms, least_ms / 2) << "the link forgives a chunk that comes a little late";
  EXPECT_LT(report.exposed_copy_ms, wall_ms);
  EXPECT_EQ(report.copy_ms, report.exposed_copy_ms);
  ASSERT_EQ(report.exposed_ms_by_block.size(), 7U);
  EXPECT_NEAR(std::accumulate(report.exposed_ms_by_block.begin(), report.exposed_ms_by_block.end(), 0.0),
              report.exposed_copy_ms, 1e-6);
  EXPECT_EQ(report.exposed_ms_by_pass.size(), 1U);
}

TEST(Sequential, FinishGivesAllDeviceMemoryBack) {
  Options options = sequential_options();
  options.vram_limit = 1;
  Rig rig(options);
  EXPECT_TRUE(exact(rig));
  rig.stage->finish();
  EXPECT_EQ(rig.account.now(), 0U);
  EXPECT_EQ(rig.sequential().state(kQ), State::Offload);
  EXPECT_TRUE(exact(rig));
}

// A LoRA on a wrapped linear against the same addition merged into its weight.
TEST(SequentialLora, EqualsMergedWeights) {
  const ToyShape shape{.layers = 3, .compute = DType::F32};
  Rig rig(sequential_options(), shape);
  const at::Tensor down = at::ones({4, 96}) * 0.01;
  const at::Tensor up = at::ones({96, 4}) * 0.02;
  rig.stage->set_loras({{"blocks.1.q", {.down = down, .up = up, .scale = 0.5}}});
  EXPECT_EQ(rig.account.now(Category::Lora), down.nbytes() + up.nbytes());
  const at::Tensor with = toy_forward(*rig.stage)[0];

  const auto merged = toy_arena(shape);
  const auto stage = testing::stage_over(*merged, {.type = StrategyKind::None}, rig.setup);
  stage->begin({});
  stage->acquire_block(0);
  stage->release_block(0);
  stage->acquire_block(1);
  at::Tensor weight = stage->acquire({1, 2})[0];
  weight.add_(up.matmul(down) * 0.5);
  stage->release_block(1);
  stage->acquire_block(2);
  stage->release_block(2);
  stage->end();
  const at::Tensor without = toy_forward(*rig.stage)[0];
  const at::Tensor expected = toy_forward(*stage)[0];
  EXPECT_TRUE(same_bits(with, without));
  EXPECT_FALSE(same_bits(with, toy_reference(shape)[0]));
  const double error = (with - expected).norm().item<double>() / expected.norm().item<double>();
  EXPECT_LT(error, 1e-6);
}

TEST(SequentialLora, TheGenericWrapperHasNone) {
  Options options = sequential_options();
  options.module_map = "linear=AutoWrappedModule";
  Rig rig(options);
  EXPECT_THAT(
      [&] {
        rig.stage->set_loras({{"blocks.1.q", {at::ones({4, 96}), at::ones({96, 4})}}});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("AutoWrappedLinear")));
}

TEST(StagingPool, HandsARangeOutAgainAndGrowsOnlyWhenItMust) {
  const auto device = make_cpu_device();
  DeviceAccount account;
  StagingPool pool(*device, account);
  pool.reserve(4096);
  std::byte* a = pool.take(1024);
  std::byte* b = pool.take(2048);
  EXPECT_EQ(b, a + 1024);
  pool.give(a);
  EXPECT_EQ(pool.take(1000), a) << "the first gap";
  EXPECT_EQ(pool.bytes(), 4096U);
  pool.take(4096);
  EXPECT_EQ(account.now(Category::Temporary), 8192U);
  EXPECT_THROW(pool.give(a + 1), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::offload
