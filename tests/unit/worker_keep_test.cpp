#include "worker/weights/keep.h"

#include <gtest/gtest.h>

#include "offload/report.h"

namespace ferry::worker {
namespace {

// As of 14B: DiT, VAE, text encoder.
constexpr ByRole<std::size_t> kBytes = {{28, 1, 11}};
constexpr ByRole<bool> kAll = {{true, true, true}};

ByRole<bool> kept(std::size_t room, const ByRole<bool>& later = kAll) {
  return kept_within(room, kBytes, later);
}

TEST(KeptWithin, AllWhereThereIsRoomForAll) {
  EXPECT_EQ(kept(40), kAll);
  EXPECT_EQ(kept(1000), kAll);
}

TEST(KeptWithin, WhatStaysLeavesRoomForTheLargestOfTheOthers) {
  EXPECT_EQ(kept(39), (ByRole<bool>{{true, false, false}})) << "28 beside 11";
  EXPECT_EQ(kept(29), (ByRole<bool>{{false, true, false}})) << "1 beside 28";
}

TEST(KeptWithin, NothingWhereOnlyOneAtATimeHasRoom) {
  EXPECT_EQ(kept(28), ByRole<bool>{});
  EXPECT_EQ(kept(0), ByRole<bool>{});
}

TEST(KeptWithin, NothingThatNoLaterVideoNeeds) {
  EXPECT_EQ(kept(1000, {{false, true, false}}), (ByRole<bool>{{false, true, false}}));
  EXPECT_EQ(kept(1000, {}), ByRole<bool>{});
}

TEST(NeededLastFirst, IsTheOrderOfVideosBackwards) {
  using Order = std::array<Role, kRoleCount>;
  EXPECT_EQ(needed_last_first(Role::TextEncoder), (Order{Role::Vae, Role::Dit, Role::TextEncoder}));
  EXPECT_EQ(needed_last_first(Role::Dit), (Order{Role::TextEncoder, Role::Vae, Role::Dit}));
  EXPECT_EQ(needed_last_first(Role::Vae), (Order{Role::Dit, Role::TextEncoder, Role::Vae}));
}

TEST(BytesTogether, AreWhatStaysAndTheMostBesideIt) {
  // DiT, VAE, text encoder.
  EXPECT_EQ(bytes_together({{{{true, 28, 10}, {true, 1, 5}, {true, 11, 1}}}}), 50U);
  EXPECT_EQ(bytes_together({{{{false, 6, 10}, {true, 1, 5}, {true, 11, 1}}}}), 28U)
      << "slots beside activations";
  EXPECT_EQ(bytes_together({{{{true, 28, 10}, {true, 1, 5}, {false, 11, 1}}}}), 41U) << "11 + 1 above 10";
  EXPECT_EQ(bytes_together({}), 0U);
}

TEST(ReportSince, IsWhatCameAfter) {
  offload::Report before;
  before.passes = 2;
  before.copied_once_bytes = 10;
  before.ferried_bytes = 100;
  before.copy_ms = 4;
  before.exposed_copy_ms = 3;
  before.exposed_ms_by_pass = {1, 2};
  before.exposed_ms_by_block = {1, 0.5};
  before.promotions = 1;
  offload::Report now = before;
  now.passes = 5;
  now.copied_once_bytes = 30;
  now.ferried_bytes = 160;
  now.copy_ms = 10;
  now.exposed_copy_ms = 15;
  now.exposed_ms_by_pass = {1, 2, 3, 4, 5};
  now.exposed_ms_by_block = {2, 1};  // 10 and 5 of five passes; 8 and 4 of the last three
  now.promotions = 1;
  now.slots = 7;
  const offload::Report since = offload::since(before, now);
  EXPECT_EQ(since.passes, 3U);
  EXPECT_EQ(since.copied_once_bytes, 20U);
  EXPECT_EQ(since.ferried_bytes, 60U);
  EXPECT_EQ(since.copy_ms, 6);
  EXPECT_EQ(since.exposed_copy_ms, 12);
  EXPECT_EQ(since.exposed_ms_by_pass, (std::vector<double>{3, 4, 5}));
  ASSERT_EQ(since.exposed_ms_by_block.size(), 2U);
  EXPECT_DOUBLE_EQ(since.exposed_ms_by_block[0], 8.0 / 3);
  EXPECT_DOUBLE_EQ(since.exposed_ms_by_block[1], 4.0 / 3);
  EXPECT_EQ(since.promotions, 0U);
  EXPECT_EQ(since.slots, 7);
  EXPECT_EQ(offload::since(now, now).exposed_ms_by_block, (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace ferry::worker
