// offload/async/share_trials.h beside machines whose true times are known: forty blocks of 14B, passes of the
// longest of computing, links and gathers, each rank with its own luck.
#include "offload/async/share_trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace ferry::offload {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kBlocks = 40;
constexpr std::size_t kBlock = 600'000'000;
constexpr int kSlots = 2;  // blocks of the share before, in a pass between two

ShareFigures figures_of(double together_gbps, double gather_gbps, int ranks) {
  return {.block_bytes = kBlock,
          .together_gbps = together_gbps,
          .gather_gbps = gather_gbps,
          .ranks = ranks,
          .in_slices = true};
}

struct Machine {
  const char* name = "";
  ShareFigures figures;  // as the link test found them
  ShareFigures truth;    // as they are
  double block_ms = 0;   // of computing
  double gathering = 0;  // by how much all gathers lengthen it
  double copying = 0;    // by how much a link that is never idle does

  double link_ms(double share) const {
    return kBlocks * 1e-6 * kBlock / truth.together_gbps * (1 - share * (1 - 1.0 / truth.ranks));
  }
  double compute_ms(double share) const {
    const double busy = std::min(1.0, link_ms(share) / (kBlocks * block_ms));
    return kBlocks * block_ms * (1 + gathering * share) * (1 + copying * busy * busy);
  }
  double pass_ms(double share) const {
    return std::max(compute_ms(share), kBlocks * offload::block_ms(truth, share));
  }
};

// A run with the share left open, as each rank sees it.
struct Course {
  std::vector<double> shares;  // of each pass
  double chosen = 0;
  double excess_ms = 0;  // of all passes until it was settled, over the best share's
  std::string why;
};

// The shortest passes of full, sharded and what hides by the figures.
double best_of(const Machine& machine) {
  double best = machine.pass_ms(0);
  const double least = share_candidates(machine.figures, kBlocks, machine.compute_ms(0), 1)[0].share;
  for (const double share : {1.0, least}) best = std::min(best, machine.pass_ms(share));
  return best;
}

Course run(const Machine& machine, double noise, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> luck(0, noise);
  const auto worst = [&](double ms) {
    double most = 0;
    for (int rank = 0; rank < machine.truth.ranks; ++rank) most = std::max(most, ms * (1 + luck(random)));
    return most;
  };
  double share = share_candidates(machine.figures, kBlocks, 0, 1)[0].share;
  const auto pass_of = [&](double of) {
    const double ms = machine.pass_ms(of);
    return PassTime{
        .ms = worst(ms), .exposed_ms = ms - machine.compute_ms(of), .copies_ms = machine.link_ms(of)};
  };
  const PassTime before = pass_of(share);
  ShareTrials trials(share_candidates(machine.figures, kBlocks, before.ms - before.exposed_ms, share), share);
  Course course;
  for (double last = share; !trials.settled() && course.shares.size() < 50; last = share) {
    share = trials.share();
    course.shares.push_back(share);
    const PassTime pass = pass_of(share);
    if (share == last) {
      course.excess_ms += pass.ms - best_of(machine);
      trials.measured(pass);
      continue;
    }
    const double old = static_cast<double>(kSlots) / kBlocks;
    const double ms = (1 - old) * pass.ms + old * machine.pass_ms(last);
    course.excess_ms += ms - best_of(machine);
    trials.between(ms);
  }
  course.chosen = trials.share();
  course.why = trials.why();
  return course;
}

Machine full_hides() {
  return {.name = "computing hides full",
          .figures = figures_of(45, 200, 2),
          .truth = figures_of(44, 200, 2),
          .block_ms = 34,
          .gathering = 0.035};
}

Machine link_bound() {
  return {.name = "links are the bound",
          .figures = figures_of(36, 220, 4),
          .truth = figures_of(36, 220, 4),
          .block_ms = 4.7,
          .gathering = 0.05,
          .copying = 0.3};
}

Machine partial_hides() {
  return {.name = "only a part hides",
          .figures = figures_of(50, 100, 2),
          .truth = figures_of(50, 100, 2),
          .block_ms = 10,
          .gathering = 0.08};
}

Machine slow_gathers() {
  return {.name = "gathers are slow",
          .figures = figures_of(50, 18, 2),
          .truth = figures_of(50, 15, 2),
          .block_ms = 14,
          .gathering = 0.2};
}

// NCCL beside a persistent attention: the gather itself is fast, what computes beside it is not.
Machine costly_gathers() {
  return {.name = "gathers take from the computing",
          .figures = figures_of(36, 200, 4),
          .truth = figures_of(36, 200, 4),
          .block_ms = 17.5,
          .gathering = 0.24};
}

Machine slower_links_than_measured() {
  return {.name = "links are slower than they were",
          .figures = figures_of(50, 200, 2),
          .truth = figures_of(36, 200, 2),
          .block_ms = 13,
          .gathering = 0.04};
}

Machine faster_links_than_measured() {
  return {.name = "links are faster than they were",
          .figures = figures_of(40, 200, 2),
          .truth = figures_of(46, 200, 2),
          .block_ms = 14,
          .gathering = 0.24};
}

std::vector<Machine> machines() {
  return {full_hides(),
          link_bound(),
          partial_hides(),
          slow_gathers(),
          costly_gathers(),
          slower_links_than_measured(),
          faster_links_than_measured()};
}

TEST(ShareTrials, ChooseTheBestWithinAHundredthForLessThanAPass) {
  for (const Machine& machine : machines()) {
    for (unsigned seed = 0; seed < 200; ++seed) {
      const Course taken = run(machine, 0.001, seed);
      const std::string what = std::string(machine.name) + ": " + taken.why;
      // A few thousandths of luck more.
      EXPECT_LE(machine.pass_ms(taken.chosen), 1.013 * best_of(machine)) << what;
      EXPECT_LE(taken.excess_ms, best_of(machine)) << what;
      EXPECT_LE(taken.shares.size(), 12U) << what;
    }
  }
}

TEST(ShareTrials, WithoutNoiseAreWithinAHundredth) {
  for (const Machine& machine : machines()) {
    const Course taken = run(machine, 0, 0);
    EXPECT_LE(machine.pass_ms(taken.chosen), 1.01 * best_of(machine)) << machine.name << ": " << taken.why;
  }
  EXPECT_EQ(run(full_hides(), 0, 0).chosen, 0);
  EXPECT_EQ(run(link_bound(), 0, 0).chosen, 1);
  EXPECT_GT(run(partial_hides(), 0, 0).chosen, 0);
  EXPECT_LT(run(partial_hides(), 0, 0).chosen, 1);
  EXPECT_EQ(run(slow_gathers(), 0, 0).chosen, 0);
  EXPECT_LT(run(costly_gathers(), 0, 0).chosen, 0.2);
  EXPECT_EQ(run(slower_links_than_measured(), 0, 0).chosen, 1);
  EXPECT_EQ(run(faster_links_than_measured(), 0, 0).chosen, 0);
}

// A pass of all copies would take 3.5 times as long.
TEST(ShareTrials, WhatTheLinksRuleOutIsNotTried) {
  const Course taken = run(link_bound(), 0.001, 1);
  EXPECT_THAT(taken.shares, Not(Contains(0.0)));
  EXPECT_THAT(taken.why, HasSubstr("0 not tried (its copies take 666.7 ms)"));
}

// Copies with much room slow nothing, so nothing can be sooner.
TEST(ShareTrials, NothingIsTriedBesideFullThatHidesWithRoom) {
  ShareTrials trials({{.share = 0, .copies_ms = 100}, {.share = 1, .copies_ms = 50}}, 0);
  trials.measured({.ms = 200, .exposed_ms = 0.1, .copies_ms = 110});
  EXPECT_TRUE(trials.settled());
  EXPECT_EQ(trials.why(), "share 0 after 1 pass: 0 took 200.0 ms, 1 not tried (computing takes as long)");
}

TEST(ShareTrials, ATrialThatWouldCostTooMuchIsNotMade) {
  // 1.15 of 200 ms are within the doubt, but not three times.
  ShareTrials trials(
      {{.share = 1, .copies_ms = 50}, {.share = 0.5, .copies_ms = 225}, {.share = 0, .copies_ms = 230}}, 1);
  trials.measured({.ms = 200, .exposed_ms = 150});
  ASSERT_EQ(trials.share(), 1) << "looked at twice";
  trials.measured({.ms = 200, .exposed_ms = 150});
  ASSERT_EQ(trials.share(), 0.5);
  trials.between(290);
  trials.measured({.ms = 260});
  EXPECT_TRUE(trials.settled());
  EXPECT_EQ(trials.share(), 1);
  EXPECT_THAT(trials.why(), HasSubstr("0 not tried (a trial costs too much)"));
}

// Neither the hiccup of one pass nor a difference that is none changes the share.
TEST(ShareTrials, ADifferenceOfLessThanAHundredthIsNone) {
  for (const double other_ms : {99.2, 98.8}) {
    ShareTrials trials({{.share = 0, .copies_ms = 95}, {.share = 1, .copies_ms = 50}}, 0);
    trials.measured({.ms = 100, .copies_ms = 95});
    trials.measured({.ms = 130, .copies_ms = 95});
    ASSERT_EQ(trials.share(), 1);
    trials.between(100);
    for (int i = 0; i < 3; ++i) {
      ASSERT_FALSE(trials.settled()) << "two that are near are looked at three times";
      trials.measured({.ms = i == 1 ? 120 : other_ms});
    }
    EXPECT_TRUE(trials.settled());
    EXPECT_EQ(trials.share(), other_ms < 99 ? 1 : 0);
    EXPECT_EQ(trials.why().ends_with(", which is no difference"), other_ms > 99) << trials.why();
  }
}

TEST(ShareTrials, OnceSettledNothingChanges) {
  ShareTrials trials({{.share = 0, .copies_ms = 100}, {.share = 1, .copies_ms = 50}}, 0);
  trials.measured({.ms = 200});
  ASSERT_TRUE(trials.settled());
  const std::string why = trials.why();
  for (int i = 0; i < 20; ++i) {
    trials.measured({.ms = 900, .exposed_ms = 800});
    trials.between(900);
    trials.other();
    EXPECT_EQ(trials.share(), 0);
  }
  EXPECT_EQ(trials.why(), why);
}

// In the middle of a trial the passes become ones that cannot be compared.
TEST(ShareTrials, PassesOfOtherKindsEndATrial) {
  ShareTrials trials({{.share = 1, .copies_ms = 50}, {.share = 0, .copies_ms = 100}}, 1);
  for (int i = 0; i < 2; ++i) trials.measured({.ms = 100});
  ASSERT_EQ(trials.share(), 0);
  int passes = 0;
  for (; !trials.settled() && passes < 100; ++passes) trials.other();
  EXPECT_EQ(trials.share(), 1) << "the only one that was measured";
  EXPECT_LE(passes, 10);
  EXPECT_THAT(trials.why(), HasSubstr("0 not tried (passes were of other kinds)"));
}

TEST(ShareCandidates, BeginWithThePredictedBestAndHaveTheOneInForce) {
  const auto shares = [](const std::vector<ShareCandidate>& candidates) {
    std::vector<double> list;
    for (const ShareCandidate& each : candidates) list.push_back(each.share);
    return list;
  };
  using ::testing::ElementsAre;
  const ShareFigures figures = figures_of(50, 400, 2);
  EXPECT_THAT(shares(share_candidates(figures, kBlocks, kBlocks * 34, 1)), ElementsAre(0, 1));
  EXPECT_THAT(shares(share_candidates(figures, kBlocks, kBlocks * 10, 1)), ElementsAre(0.5, 1, 0));
  EXPECT_THAT(shares(share_candidates(figures, kBlocks, kBlocks * 10, 0.25)), ElementsAre(0.5, 1, 0, 0.25));
  EXPECT_DOUBLE_EQ(share_candidates(figures, kBlocks, kBlocks * 10, 1)[0].copies_ms, kBlocks * 9);
}

TEST(ShareTrials, BeginWithOneOfTheCandidates) {
  EXPECT_THROW(ShareTrials({{.share = 1}}, 0.5), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::offload
