// What was given for all stages, on networks that it does not suit.
#include "offload/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "base/error.h"
#include "offload/stated_share.h"
#include "offload_toy.h"

namespace ferry::offload {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const model::NetworkSpec& network() {
  static const model::NetworkSpec spec = testing::toy_spec();  // 7 blocks, computes in bf16
  return spec;
}

// `keys` were given for all stages.
Options given(StrategyKind type, std::set<std::string> keys) {
  Options options;
  options.type = type;
  options.shared = std::move(keys);
  return options;
}

std::string refusal(const Options& options, const StageRanks& ranks = {}) {
  try {
    fit(network(), options, ranks);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(Fit, WhatSuitsStaysAsItIs) {
  Options options = given(StrategyKind::Async, {"prefetch_size", "transport"});
  options.prefetch_size = 7;
  options.transport = Transport::Sharded;
  const Fitted fitted = fit(network(), options, {});
  EXPECT_THAT(fitted.changes, IsEmpty());
  EXPECT_EQ(fitted.options.prefetch_size, 7);
  EXPECT_EQ(fitted.options.transport, Transport::Sharded);
}

TEST(Fit, APrefetchBeyondTheBlocksBecomesTheirNumber) {
  for (const StrategyKind type : {StrategyKind::Async, StrategyKind::Auto}) {
    Options options = given(type, {"prefetch_size"});
    options.prefetch_size = 100;
    const Fitted fitted = fit(network(), options, {});
    EXPECT_EQ(fitted.options.prefetch_size, 7);
    EXPECT_THAT(fitted.changes, ElementsAre(HasSubstr(".offload.prefetch_size: 100 becomes 7,")));
    options.shared.clear();
    EXPECT_THAT(refusal(options), HasSubstr("prefetch_size: 100")) << "the stage's own";
  }
  Options unused = given(StrategyKind::Model, {"prefetch_size"});
  unused.prefetch_size = 100;
  EXPECT_THAT(fit(network(), unused, {}).changes, IsEmpty());
}

TEST(Fit, TheTypeOfComputationBecomesTheNetworks) {
  Options options = given(StrategyKind::Sequential, {"module_config"});
  options.module_config = {{"computation_dtype", "fp32"}, {"onload_dtype", "fp32"}};
  const Fitted fitted = fit(network(), options, {});
  EXPECT_THAT(fitted.changes, ElementsAre(HasSubstr("computation_dtype: fp32 becomes bf16")));
  EXPECT_THAT(fitted.options.module_config, ElementsAre(::testing::Pair("onload_dtype", "fp32")));
}

TEST(Fit, KindsThatTheNetworkHasNotAreLeftOut) {
  Options options = given(StrategyKind::Sequential, {"module_map"});
  options.module_map = "linear, conv=AutoWrappedModule";
  const Fitted fitted = fit(network(), options, {});
  EXPECT_EQ(fitted.options.module_map, "linear");
  EXPECT_THAT(fitted.changes, ElementsAre(HasSubstr("becomes linear")));
  options.module_map = "conv";
  EXPECT_EQ(fit(network(), options, {}).options.module_map, "conv") << "empty would mean every module";
  options.shared.clear();
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("no conv"), HasSubstr("linear")));
}

TEST(Fit, OnOneRankOfSeveralTheWeightsTakeThePlainWay) {
  Options options = given(StrategyKind::Async, {"transport", "interleave"});
  options.transport = Transport::Sharded;
  options.interleave = Interleave::Gated;
  const Fitted fitted = fit(network(), options, {.node_size = 2, .alone = true});
  EXPECT_EQ(fitted.options.transport, Transport::Full);
  EXPECT_EQ(fitted.options.interleave, Interleave::Free);
  EXPECT_EQ(fitted.changes.size(), 2U);
  options.shared = {"interleave"};
  EXPECT_THAT(refusal(options, {.node_size = 2, .alone = true}), HasSubstr("transport: sharded"));
  EXPECT_EQ(refusal(options, {.node_size = 2, .alone = false}), "");
}

TEST(Fit, OnOneRankOfSeveralNothingIsShared) {
  Options options = given(StrategyKind::Async, {"share"});
  options.share = 0.5;
  const Fitted fitted = fit(network(), options, {.node_size = 2, .alone = true});
  EXPECT_EQ(fitted.options.share, 0.0);
  EXPECT_THAT(fitted.changes,
              ElementsAre(HasSubstr("toy.offload.share: 0.5 becomes 0, the stage runs on one")));
  options.shared.clear();
  EXPECT_THAT(refusal(options, {.node_size = 2, .alone = true}),
              HasSubstr("share: 0.5; this stage runs on one"));
  EXPECT_EQ(refusal(options, {.node_size = 2, .alone = false}), "");
  options.share = 0;
  EXPECT_EQ(refusal(options, {.node_size = 2, .alone = true}), "");
}

TEST(Fit, AShareThatContradictsTheTransportIsRefused) {
  for (const auto& [transport, share, refused] : {std::tuple(Transport::Full, 0.0, false),
                                                  {Transport::Full, 0.25, true},
                                                  {Transport::Full, 1.0, true},
                                                  {Transport::Sharded, 0.0, true},
                                                  {Transport::Sharded, 0.25, false},
                                                  {Transport::Sharded, 1.0, false},
                                                  {Transport::Auto, 0.0, false},
                                                  {Transport::Auto, 0.25, false},
                                                  {Transport::Auto, 1.5, true},
                                                  {Transport::Auto, -0.1, true},
                                                  {Transport::Auto, std::nan(""), true}}) {
    for (const std::set<std::string>& shared : {std::set<std::string>{}, {"share", "transport"}}) {
      Options options = given(StrategyKind::Async, shared);
      options.transport = transport;
      options.share = share;
      const std::string why = refusal(options);
      EXPECT_EQ(!why.empty(), refused) << name_of(transport) << " " << share << " " << why;
      if (refused) {
        EXPECT_THAT(why, HasSubstr("toy.offload.share: "));
      }
    }
  }
}

TEST(Fit, OfShareAndTransportTheStagesOwnWins) {
  Options options = given(StrategyKind::Async, {"share"});
  options.transport = Transport::Full;
  options.share = 0.5;
  const Fitted by_transport = fit(network(), options, {});
  EXPECT_EQ(by_transport.options.share, std::nullopt);
  EXPECT_EQ(by_transport.options.transport, Transport::Full);
  EXPECT_THAT(by_transport.changes,
              ElementsAre(HasSubstr("share: 0.5 becomes auto, the stage's transport is full")));
  options.shared = {"transport"};
  const Fitted by_share = fit(network(), options, {});
  EXPECT_EQ(by_share.options.share, 0.5);
  EXPECT_EQ(by_share.options.transport, Transport::Auto);
  EXPECT_THAT(by_share.changes,
              ElementsAre(HasSubstr("transport: full becomes auto, the stage's share is 0.5")));
}

TEST(StatedShare, IsWhatTheWordsMean) {
  EXPECT_EQ(stated_share("dit", {.transport = Transport::Full}), 0.0);
  EXPECT_EQ(stated_share("dit", {.transport = Transport::Sharded}), 1.0);
  EXPECT_EQ(stated_share("dit", {.transport = Transport::Auto}), std::nullopt);
  EXPECT_EQ(stated_share("dit", {.transport = Transport::Sharded, .share = 0.25}), 0.25);
  EXPECT_EQ(stated_share("dit", {.transport = Transport::Auto, .share = 0.0}), 0.0);
}

TEST(Fit, WhereNoExchangeIsGatedCopiesAreFreeAndMayBeSharded) {
  Options options = given(StrategyKind::Async, {"transport", "interleave"});
  options.transport = Transport::Sharded;
  options.interleave = Interleave::Gated;
  const Fitted fitted = fit(network(), options, {.node_size = 2, .gated = false});
  EXPECT_EQ(fitted.options.transport, Transport::Sharded);
  EXPECT_EQ(fitted.options.interleave, Interleave::Free);
  EXPECT_THAT(fitted.changes,
              ElementsAre(HasSubstr("interleave: gated becomes free, the stage has no exch")));
  options.shared.clear();
  EXPECT_THAT(refusal(options, {.node_size = 2, .gated = false}), HasSubstr("accepted: free, auto"));
}

TEST(Fit, ALimitBelowTheLeastBecomesTheLeast) {
  for (const StrategyKind type : {StrategyKind::None, StrategyKind::Model, StrategyKind::Async,
                                  StrategyKind::Sequential, StrategyKind::Auto}) {
    Options options = given(type, {"vram_limit"});
    options.vram_limit = 1e-6;
    const Fitted fitted = fit(network(), options, {});
    ASSERT_EQ(fitted.changes.size(), 1U) << name_of(type);
    EXPECT_GT(*fitted.options.vram_limit, 1e-6);
    EXPECT_THAT(fit(network(), fitted.options, {}).changes, IsEmpty()) << "it is enough";
    options.vram_limit = 40;
    EXPECT_THAT(fit(network(), options, {}).changes, IsEmpty());
  }
}

}  // namespace
}  // namespace ferry::offload
