// What options become.  The numbers, for a DiT of 10 blocks of 7.1 MB, are those of commit 2dd7574, where
// each who needed one found it anew.
#include "offload/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "model/dit/spec.h"
#include "model/text/umt5.h"
#include "model/vae/vae.h"
#include "offload/fit.h"

namespace ferry::offload {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kLayers = 10;

const model::NetworkSpec& network() {
  static const model::NetworkSpec spec =
      model::dit_spec({.dim = 512, .ffn_dim = 1408, .heads = 8, .layers = kLayers}, DType::BF16);
  return spec;
}

std::string refusal(const Options& options) {
  try {
    make_plan(network(), options, 1);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

struct Row {
  const char* name;
  Options options;
  std::size_t arena_bytes;
  std::size_t need_bytes;
  std::size_t need_of_two_ranks;
  std::size_t offloaded;
  int slots;
};

const std::vector<Row>& rows() {
  constexpr std::size_t kWhole = 83'948'288;
  constexpr std::size_t kWholeOfTwo = 83'951'104;
  constexpr std::size_t kStored = 83'955'712;
  static const std::vector<Row> table = {
      {"none", {.type = StrategyKind::None}, kStored, kWhole, kWholeOfTwo, 0, 0},
      {"model", {.type = StrategyKind::Model}, kStored, kWhole, kWholeOfTwo, 0, 0},
      {"async", {.type = StrategyKind::Async}, kStored, 27'032'320, 27'033'088, 10, 2},
      {"half", {.type = StrategyKind::Async, .offload_ratio = 0.5}, kStored, 62'604'800, 62'606'848, 5, 2},
      {"a quarter, 4 ahead",
       {.type = StrategyKind::Async, .offload_ratio = 0.25, .prefetch_size = 4},
       kStored,
       kWhole,
       kWholeOfTwo,
       3,
       3},
      {"nothing", {.type = StrategyKind::Async, .offload_ratio = 0}, kStored, kWhole, kWholeOfTwo, 0, 0},
      {"10 ahead", {.type = StrategyKind::Async, .prefetch_size = 10}, kStored, kWhole, kWholeOfTwo, 10, 10},
      {"sequential", {.type = StrategyKind::Sequential}, kStored, 6'303'744, 6'303'744, 0, 0},
      {"fp8",
       {.type = StrategyKind::Sequential, .module_config = {{"offload_dtype", "fp8"}}},
       46'092'288,
       6'303'744,
       6'303'744,
       0,
       0},
      {"fp32",
       {.type = StrategyKind::Sequential, .module_config = {{"offload_dtype", "fp32"}}},
       159'645'696,
       12'585'984,
       12'585'984,
       0,
       0},
      {"linears",
       {.type = StrategyKind::Sequential, .module_map = "linear"},
       kStored,
       6'620'160,
       6'620'160,
       0,
       0},
      {"overflow",
       {.type = StrategyKind::Sequential,
        .max_num_param = 500'000,
        .overflow_module_config = {{"offload_dtype", "fp8"}}},
       67'440'640,
       6'303'744,
       6'303'744,
       0,
       0},
      {"auto", {.type = StrategyKind::Auto}, kStored, 6'303'744, 6'303'744, 10, 2}};
  return table;
}

TEST(Plan, KnowsTheBytesOfTheHostAndOfTheDevice) {
  for (const Row& row : rows()) {
    const StagePlan plan = make_plan(network(), row.options, 1);
    EXPECT_EQ(plan.kind, row.options.type) << row.name;
    EXPECT_EQ(plan.arena.layout.bytes, row.arena_bytes) << row.name;
    EXPECT_EQ(plan.need.bytes, row.need_bytes) << row.name;
    EXPECT_EQ(make_plan(network(), row.options, 2).need.bytes, row.need_of_two_ranks) << row.name;
    EXPECT_EQ(plan.residency.offloaded.size(), row.offloaded) << row.name;
    EXPECT_EQ(plan.residency.slots, row.slots) << row.name;
    EXPECT_EQ(plan.why, "") << row.name;
  }
}

TEST(Plan, OnlySequentialChangesWhatTheHostKeeps) {
  for (const Row& row : rows()) {
    const StagePlan plan = make_plan(network(), row.options, 1);
    const bool wraps = row.options.type == StrategyKind::Sequential || row.options.type == StrategyKind::Auto;
    EXPECT_EQ(plan.modules.size(), wraps ? all_modules(network()).size() : 0U) << row.name;
    const DType q = module_of(plan.arena.stored, model::id_of(0, model::DitBlock::SelfQ)).tensors[0].dtype;
    const auto given = row.options.module_config.find("offload_dtype");
    EXPECT_EQ(q, given == row.options.module_config.end() ? DType::BF16 : dtype_from_name(given->second))
        << row.name;
    EXPECT_EQ(module_of(plan.arena.spec, model::id_of(0, model::DitBlock::SelfQ)).tensors[0].dtype,
              DType::BF16);
  }
}

TEST(Plan, RefusesWhatItsTypeLooksAtAndNothingElse) {
  const Options bad{.offload_ratio = 1.5, .prefetch_size = 11, .max_num_param = 5};
  for (const auto& [type, why] :
       {std::tuple(StrategyKind::None, ""),
        {StrategyKind::Model, ""},
        {StrategyKind::Async, "dit.offload.offload_ratio: 1.5; it is between 0 and 1"},
        {StrategyKind::Sequential,
         "dit.offload.max_num_param and dit.offload.overflow_module_config need each other"}}) {
    Options options = bad;
    options.type = type;
    EXPECT_EQ(refusal(options), why) << name_of(type);
  }
  for (const StrategyKind type : {StrategyKind::Async, StrategyKind::Auto}) {
    EXPECT_EQ(refusal({.type = type, .prefetch_size = 11}),
              "dit.offload.prefetch_size: 11; it is between 1 and the 10 blocks of the network");
    EXPECT_THAT(refusal({.type = type, .transport = Transport::Full, .share = 0.5}),
                HasSubstr("dit.offload.share: 0.5; with transport full accepted: 0, auto"));
  }
}

// The room with which each begins, in bytes.
TEST(Plan, AutoIsTheFastestTypeThatTakesNoMoreThanTheRoom) {
  constexpr std::size_t kBlock = 7'114'496;
  const StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  for (const auto& [room, kind, offloaded] : {std::tuple(std::size_t{0}, StrategyKind::Sequential, 0U),
                                              {27'032'320 - 1, StrategyKind::Sequential, 0U},
                                              {27'032'320, StrategyKind::Async, 10U},
                                              {27'032'320 + kBlock - 1, StrategyKind::Async, 10U},
                                              {27'032'320 + kBlock, StrategyKind::Async, 9U},
                                              {27'032'320 + 7 * kBlock, StrategyKind::Async, 3U},
                                              {83'948'288 - 1, StrategyKind::Async, 3U},
                                              {83'948'288, StrategyKind::None, 0U}}) {
    const StagePlan plan = decided(open, {.bytes = room});
    EXPECT_EQ(plan.kind, kind) << room;
    EXPECT_EQ(plan.residency.offloaded.size(), offloaded) << room;
    EXPECT_EQ(plan.arena.layout.bytes, open.arena.layout.bytes) << "the host copy was there before";
    if (kind != StrategyKind::Sequential) {
      EXPECT_LE(plan.need.bytes, room);
    }
  }
  EXPECT_EQ(decided(make_plan(network(), {.type = StrategyKind::Auto, .prefetch_size = 3}, 1),
                    {.bytes = 41'263'104})
                .residency.slots,
            4);
}

TEST(Plan, AutoSaysWhy) {
  const StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  EXPECT_EQ(decided(open, {.bytes = 90'000'000}).why,
            "decided by memory (no rates of this machine); all of its weights take 0.084 GB, 0.090 GB of "
            "device memory are free for weights");
  EXPECT_EQ(decided(open, {.bytes = 70'000'000}).why,
            "decided by memory (no rates of this machine); 2 slots, 6 resident blocks, head and tail take "
            "0.070 GB, 0.070 GB of device memory are free for weights");
  EXPECT_THAT(decided(open, {.bytes = 1'000'000}).why,
              AllOf(HasSubstr("the largest module and what is not wrapped take 0.006 GB, no type less"),
                    HasSubstr("0.001 GB of device memory")));
}

// Seconds of each way, by what it ferries and its slots.
Forecast forecast_of(const StagePlan& plan, const std::function<double(const DeviceUse&)>& step_s) {
  Forecast forecast{.source = "rates of a test"};
  for (const DeviceUse& way : plan.ways) forecast.step_s.push_back(step_s(way));
  return forecast;
}

TEST(Plan, AutoTakesTheFastestOfTheForecastThatFits) {
  const StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  // Every other block hides its copy, with one block more ahead two of three do; sequential never.
  const Forecast forecast = forecast_of(open, [](const DeviceUse& way) {
    if (way.kind == StrategyKind::Sequential) return 9.0;
    const std::size_t hidden = way.residency.slots > 2 ? 7 : 5;
    const std::size_t ferried = way.residency.offloaded.size();
    return ferried <= hidden ? 1.0 : 1.0 + 0.1 * static_cast<double>(ferried - hidden);
  });
  constexpr std::size_t kLeast = 27'032'320;  // two slots and no resident block
  constexpr std::size_t kBlock = 7'114'496;
  for (const auto& [room, kind, offloaded, slots, step_s] :
       {std::tuple(std::size_t{0}, StrategyKind::Sequential, 0U, 0, 9.0),
        {kLeast - 1, StrategyKind::Sequential, 0U, 0, 9.0},
        {kLeast, StrategyKind::Async, 10U, 2, 1.5},
        // One block more has room: ferried ahead it is worth more than resident.
        {kLeast + kBlock, StrategyKind::Async, 10U, 3, 1.3},
        {kLeast + 4 * kBlock, StrategyKind::Async, 7U, 3, 1.0},
        {kLeast + 5 * kBlock, StrategyKind::Async, 5U, 2, 1.0},
        {83'948'288, StrategyKind::None, 0U, 0, 1.0}}) {
    const StagePlan plan = decided(open, {.bytes = room}, forecast);
    EXPECT_EQ(plan.kind, kind) << room;
    EXPECT_EQ(plan.residency.offloaded.size(), offloaded) << room;
    EXPECT_EQ(plan.residency.slots, slots) << room;
    EXPECT_DOUBLE_EQ(plan.predicted_step_s, step_s) << room;
  }
  EXPECT_EQ(decided(open, {.bytes = 1'000'000'000}).predicted_step_s, 0) << "without a forecast";
}

TEST(Plan, AutoFerriesLessWhereItIsAsFast) {
  const StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  for (const double gain : {0.004, 0.006}) {
    const Forecast forecast = forecast_of(open, [&](const DeviceUse& way) {
      return way.kind == StrategyKind::Async && way.residency.offloaded.size() == 10 ? 1 - gain : 1.0;
    });
    EXPECT_EQ(decided(open, {.bytes = 100'000'000}, forecast).kind,
              gain < kAsGood ? StrategyKind::None : StrategyKind::Async);
  }
}

TEST(Plan, AutoSaysWhatWasPredictedAndWhatIsNextBest) {
  const StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  const Forecast forecast = forecast_of(open, [](const DeviceUse& way) {
    return way.kind == StrategyKind::Sequential
               ? 9
               : 1 + 0.1 * static_cast<double>(way.residency.offloaded.size());
  });
  EXPECT_EQ(decided(open, {.bytes = 70'000'000}, forecast).why,
            "predicted step 1.4 s (rates of a test), next best 1.5 s (async, 5 blocks ferried, 2 slots); "
            "2 slots, 6 resident blocks, head and tail take 0.070 GB, 0.070 GB of device memory are free for "
            "weights");
  EXPECT_THAT(decided(open, {.bytes = 7'000'000}, forecast).why,
              HasSubstr("predicted step 9 s (rates of a test), nothing else fits; "));
  EXPECT_THROW(decided(open, {.bytes = 0}, {.step_s = {1, 2}}), std::invalid_argument);
}

TEST(Plan, AutoNeedsNoRoomForWeightsThatAreUsedInPlace) {
  StagePlan open = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  const std::size_t all = open.ways.front().need.bytes;
  const StagePlan in_place = decided(open, {.bytes = 0, .in_place = room_in_place(open)});
  EXPECT_EQ(in_place.kind, StrategyKind::None);
  EXPECT_THAT(in_place.why, HasSubstr("all of its weights, 0.084 GB, are used in the host copy"));
  // They count towards vram_limit all the same.
  open.limit_bytes = all;
  EXPECT_EQ(room_in_place(open, 1), all - 1);
  EXPECT_EQ(decided(open, {.bytes = 0, .in_place = room_in_place(open)}).kind, StrategyKind::None);
  EXPECT_EQ(decided(open, {.bytes = 0, .in_place = room_in_place(open, 1)}).kind, StrategyKind::Sequential);
  // No other way is in place.
  open.ways.erase(open.ways.begin());
  EXPECT_EQ(decided(open, {.bytes = 0, .in_place = room_in_place(open)}).kind, StrategyKind::Sequential);
}

TEST(Plan, AutoLeavesATwentiethAndKeepsTheLimit) {
  StagePlan plan = make_plan(network(), {.type = StrategyKind::Auto}, 1);
  EXPECT_EQ(room_for_weights(plan, 1000, 200), 750U);
  EXPECT_EQ(room_for_weights(plan, 1000, 2000), 0U);
  plan.limit_bytes = 300;
  EXPECT_EQ(room_for_weights(plan, 1000, 200), 300U);
  EXPECT_EQ(room_for_weights(plan, 1000, 200, 100), 200U);
  EXPECT_EQ(room_for_weights(plan, 1000, 200, 400), 0U);
}

TEST(Plan, ATypeThatWasNamedStays) {
  for (const Row& row : rows()) {
    if (row.options.type == StrategyKind::Auto) continue;
    const StagePlan plan = decided(make_plan(network(), row.options, 1), {.bytes = 0});
    EXPECT_EQ(plan.kind, row.options.type);
    EXPECT_EQ(plan.why, "");
  }
}

TEST(Plan, ALimitBelowTheNeedIsRefusedWithTheLeast) {
  EXPECT_EQ(refusal({.type = StrategyKind::Async, .vram_limit = 0.025}),
            "dit.offload.vram_limit: 0.025 GiB; async needs at least 0.0252 GiB (2 slots, 0 resident blocks, "
            "head and tail)");
  EXPECT_THAT(refusal({.type = StrategyKind::Auto, .vram_limit = 0.001}),
              HasSubstr("auto needs at least 0.0059 GiB"));
  EXPECT_THAT(refusal({.vram_limit = 0.0}), EndsWith("0 GiB; it is above 0"));
  StagePlan plan = make_plan(network(), {.type = StrategyKind::Async, .vram_limit = 0.0256}, 1);
  EXPECT_EQ(plan.limit_bytes, 27'487'790U);
  EXPECT_THROW(set_limit(plan, 0.025), UserError);
  set_limit(plan, std::nullopt);
  EXPECT_FALSE(plan.limit_bytes.has_value());
}

TEST(Plan, OtherTypesAreKnownForARefusal) {
  const auto others = [](const Options& options) {
    std::vector<std::pair<StrategyKind, std::size_t>> found;
    for (const DeviceUse& each : make_plan(network(), options, 1).others) {
      found.emplace_back(each.kind, each.need.bytes);
    }
    return found;
  };
  using Found = std::vector<std::pair<StrategyKind, std::size_t>>;
  const Found all = {{StrategyKind::None, 83'948'288},
                     {StrategyKind::Async, 27'032'320},
                     {StrategyKind::Sequential, 6'303'744}};
  EXPECT_EQ(others({.type = StrategyKind::Async, .offload_ratio = 0.5, .prefetch_size = 4}), all);
  EXPECT_EQ(others({.module_map = "linear"}).back().second, 6'620'160U) << "with the settings given";
  EXPECT_EQ(others({.max_num_param = 5}).size(), 2U) << "sequential would refuse them";
}

TEST(Plan, FitPlansWhatItMadeOfTheOptions) {
  Options options{.type = StrategyKind::Async, .prefetch_size = 100, .vram_limit = 1e-6};
  options.shared = {"prefetch_size", "vram_limit"};
  const Fitted fitted = fit(network(), options, {});
  EXPECT_EQ(fitted.plan.residency.slots, 10);
  EXPECT_EQ(fitted.plan.limit_bytes, limit_bytes(*fitted.options.vram_limit));
  EXPECT_GE(*fitted.plan.limit_bytes, fitted.plan.need.bytes);
  EXPECT_EQ(fitted.changes.size(), 2U);
  options.shared.clear();
  options.prefetch_size = 1;
  EXPECT_THROW(fit(network(), options, {}), UserError) << "a limit of the stage's own";
}

// Of one layer most bytes are the fp32 tensors of the time.
TEST(Plan, ANetworkComputesInTheTypeItSaysWhateverMostOfItsBytesAre) {
  const model::NetworkSpec spec =
      model::dit_spec({.dim = 512, .ffn_dim = 64, .heads = 8, .layers = 1}, DType::BF16);
  const Options options{.type = StrategyKind::Sequential, .module_config = {{"computation_dtype", "bf16"}}};
  EXPECT_NO_THROW(make_plan(spec, options, 1));
  for (const DType compute : {DType::F32, DType::BF16}) {
    EXPECT_EQ(model::dit_spec({}, compute).compute, compute);
    EXPECT_EQ(model::vae_decoder_spec({}, compute).compute, compute);
    EXPECT_EQ(model::umt5_spec({}, compute).compute, compute);
  }
}

TEST(Words, OfAnEnumGoBothWays) {
  for (const std::string_view word : words_of(StrategyKind{})) {
    EXPECT_EQ(name_of(from_word<StrategyKind>(word).value()), word);
  }
  EXPECT_EQ(from_word<StrategyKind>("sequential"), StrategyKind::Sequential);
  EXPECT_EQ(from_word<Transport>("sharded"), Transport::Sharded);
  EXPECT_EQ(from_word<Interleave>("gated"), Interleave::Gated);
  EXPECT_FALSE(from_word<Interleave>("Gated").has_value());
  EXPECT_EQ(name_of(StrategyKind::Auto), "auto");
}

}  // namespace
}  // namespace ferry::offload
