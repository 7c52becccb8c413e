// What a strategy needs of the device, and the refusal when there is less: with memory made up, so that the
// answers do not depend on the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/dit/spec.h"
#include "offload/arena/host_check.h"
#include "offload/device_check.h"
#include "offload/plan.h"

namespace ferry::offload {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kGB = 1'000'000'000;

// T2V-14B in bf16: 28.95 GB, a block 0.703 GB, 0.84 GB in none.
StagePlan plan_of(const Options& options) {
  const model::DitConfig k14B{.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};
  return make_plan(model::dit_spec(k14B, DType::BF16), options, 1);
}

Options of_type(StrategyKind type) {
  Options options;
  options.type = type;
  return options;
}

double need_gb(StrategyKind type) { return static_cast<double>(plan_of(of_type(type)).need.bytes) / 1e9; }

std::string refused(const Options& options, std::size_t free_gb, bool in_place = false) {
  try {
    check_device_memory(plan_of(options), kGB / 2,
                        {.free_bytes = free_gb * kGB,
                         .total_bytes = 80 * kGB,
                         .where = "cuda:0",
                         .weights_in_place = in_place});
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(Need, IsTheSlotsAndWhatIsInNoBlockForAsync) {
  EXPECT_NEAR(need_gb(StrategyKind::None), 28.95, 0.05);
  EXPECT_EQ(need_gb(StrategyKind::Model), need_gb(StrategyKind::None));
  EXPECT_NEAR(need_gb(StrategyKind::Async), 2 * 0.703 + 0.84, 0.02);
  // The largest module: ffn or, in fp32, the projection of the time.
  EXPECT_NEAR(need_gb(StrategyKind::Sequential), 0.63, 0.01);
  EXPECT_EQ(need_gb(StrategyKind::Auto), need_gb(StrategyKind::Sequential));
}

TEST(Need, NamesTheFastestTypeThatFitsTheDevice) {
  EXPECT_EQ(refused(of_type(StrategyKind::None), 30), "");
  EXPECT_THAT(
      refused(of_type(StrategyKind::None), 24),
      AllOf(HasSubstr("type none takes 28.9"), HasSubstr("0.500 GB for activations"),
            HasSubstr("24.000 GB of 80.000 GB are free (cuda:0)"),
            HasSubstr("; --dit.offload.type async --dit.offload.offload_ratio "), HasSubstr("and fit")));
  EXPECT_EQ(refused(of_type(StrategyKind::Async), 24), "");
  EXPECT_THAT(refused(of_type(StrategyKind::Async), 2),
              HasSubstr("--dit.offload.type sequential would take"));
  EXPECT_THAT(refused(of_type(StrategyKind::Model), 1), HasSubstr("no offload type fits"));
}

TEST(Need, OnTheCpuTheHostCopyServesNoneInPlace) {
  EXPECT_EQ(refused(of_type(StrategyKind::None), 2, true), "");
  EXPECT_THAT(refused(of_type(StrategyKind::Model), 2, true),
              HasSubstr("--dit.offload.type none would take 0.000 GB"));
}

TEST(Need, TheLimitSaysHowMuchIsNeededForEachType) {
  for (const StrategyKind type : {StrategyKind::None, StrategyKind::Model, StrategyKind::Async,
                                  StrategyKind::Sequential, StrategyKind::Auto}) {
    Options options = of_type(type);
    options.vram_limit = 0.5;
    EXPECT_THROW(plan_of(options), UserError) << name_of(type);
    options.vram_limit = 40;
    EXPECT_NO_THROW(plan_of(options)) << name_of(type);
  }
}

TEST(Need, APrefetchBeyondTheBlocksIsRefusedForAutoToo) {
  for (const StrategyKind type : {StrategyKind::Async, StrategyKind::Auto}) {
    Options options = of_type(type);
    options.prefetch_size = 41;
    EXPECT_THROW(plan_of(options), UserError) << name_of(type);
  }
}

TEST(HostCheck, TheLargeModelDoesNotFitASmallHost) {
  const ArenaPlan plan = plan_of({}).arena;
  const HostMemory small{.total_bytes = 25 * kGB, .available_bytes = 22 * kGB, .limited_by_cgroup = true};
  try {
    check_host_memory(plan, 1, small, place_of(small));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("take 28.95 GB"), HasSubstr("22.00 GB of 25.00 GB"),
                                    HasSubstr("limit of the cgroup"), HasSubstr("offload_dtype = fp8")));
  }
}

}  // namespace
}  // namespace ferry::offload
