// Who copies what of a block with transport `sharded`: the published 14B network in bf16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "model/dit/spec.h"
#include "offload/transport/shares.h"

namespace ferry::offload {
namespace {

model::NetworkSpec dit_14b() {
  return model::dit_spec({.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40}, DType::BF16);
}

// All that one rank copies, in order.
std::vector<Range> copied_of(const std::vector<Range>& wanted, const Division& division, int rank) {
  const auto& [offset, bytes] = division.shared[static_cast<std::size_t>(rank)];
  std::vector<Range> copied = clip(wanted, offset, offset + bytes);
  for (const Range& rest : rests_of(wanted, division, rank)) copied.push_back(rest);
  return copied;
}

struct Shares {
  std::vector<std::size_t> copied;  // by rank, of one forward
  std::size_t gathered = 0;         // received by each rank
};

// `first`: the forward that also fills the cross-attention's cache.
Shares shares_of_forward(int ranks, bool first) {
  const model::NetworkSpec spec = dit_14b();
  const ArenaLayout layout = arena_layout(spec, ranks);
  Shares shares{.copied = std::vector<std::size_t>(static_cast<std::size_t>(ranks))};
  for (std::size_t b = 0; b < layout.blocks.size(); ++b) {
    std::vector<bool> wanted;
    for (const model::ModuleSpec& module : spec.blocks[b].modules) wanted.push_back(first || !module.once);
    const std::vector<Range> ranges = ranges_of(layout.blocks[b], wanted);
    const Division division = divide(ranges, {.share = 1}, ranks);
    EXPECT_LE(total_bytes(division.shared), layout.blocks[b].blob.bytes);
    if (!first) {
      EXPECT_EQ(total_bytes(division.shared), layout.blocks[b].front);
    }
    shares.gathered += total_bytes(division.shared) - division.shared[0].bytes;
    std::size_t all = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const std::size_t mine = total_bytes(copied_of(ranges, division, rank));
      shares.copied[static_cast<std::size_t>(rank)] += mine;
      all += mine;
    }
    EXPECT_EQ(all, total_bytes(ranges)) << "each byte once";
  }
  return shares;
}

constexpr double kBlockMB = 702.911488;
constexpr double kOnceMB = 104.898560;  // cross_attn k, norm_k, v

double mb(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

TEST(Shares, OfLaterForwardsAreEven) {
  for (const int ranks : {2, 4, 8}) {
    const Shares shares = shares_of_forward(ranks, false);
    const auto [least, most] = std::minmax_element(shares.copied.begin(), shares.copied.end());
    // The end of the last share may be padding.
    EXPECT_LE(*most - *least, 40U * 256U * static_cast<std::size_t>(ranks)) << ranks;
    EXPECT_NEAR(mb(*most), 40 * (kBlockMB - kOnceMB) / ranks, 0.1) << ranks;
    EXPECT_NEAR(mb(shares.gathered), 40 * (kBlockMB - kOnceMB) * (ranks - 1) / ranks, 0.1) << ranks;
  }
}

TEST(Shares, OfTheFirstForwardAreEvenToo) {
  for (const int ranks : {2, 4, 8}) {
    const Shares shares = shares_of_forward(ranks, true);
    const auto [least, most] = std::minmax_element(shares.copied.begin(), shares.copied.end());
    EXPECT_LE(*most - *least, 40U * 256U * static_cast<std::size_t>(ranks)) << ranks;
    EXPECT_NEAR(mb(*most), 40 * kBlockMB / ranks, 0.1) << ranks;
  }
}

// Modules with a hole between them, as of a forward that leaves one out.
const std::vector<Range> kWanted = {{.offset = 0, .bytes = 256 * 37},
                                    {.offset = 256 * 41, .bytes = 256 * 60}};

// Each wanted byte is copied by one rank and received by the others, or copied by all.
TEST(Shares, OfAnySizeBringEveryByteOnceToEveryRank) {
  for (const double share : {0.0, 0.25, 0.5, 0.77, 1.0}) {
    for (const std::vector<double>& weights :
         {std::vector<double>{}, {1, 1, 1, 1}, {3, 1, 2, 1}, {1, 0, 0, 5}, {0, 0, 1, 0}}) {
      const Division division = divide(kWanted, {.share = share, .weights = weights}, 4);
      for (int rank = 0; rank < 4; ++rank) {
        std::vector<int> times(101 * 256);
        const auto count = [&times](const std::vector<Range>& ranges) {
          for (const Range& range : ranges) {
            EXPECT_EQ(range.offset % 256, 0U);
            for (std::size_t i = 0; i < range.bytes; ++i) ++times.at(range.offset + i);
          }
        };
        count(copied_of(kWanted, division, rank));
        for (std::size_t other = 0; other < 4; ++other) {
          const auto& [offset, bytes] = division.shared[other];
          if (other != static_cast<std::size_t>(rank)) count(clip(kWanted, offset, offset + bytes));
        }
        for (const Range& range : kWanted) {
          for (std::size_t i = 0; i < range.bytes; ++i) ASSERT_EQ(times[range.offset + i], 1) << share;
        }
        EXPECT_EQ(std::accumulate(times.begin(), times.end(), std::size_t{0}), total_bytes(kWanted));
      }
    }
  }
}

TEST(Shares, FollowTheWeights) {
  const std::vector<Range> all = {{.offset = 0, .bytes = 256 * 1000}};
  const Division division = divide(all, {.share = 0.5, .weights = {2, 1, 1}}, 3);
  EXPECT_EQ(division.shared,
            (std::vector<Range>{{0, 256 * 250}, {256 * 500, 256 * 125}, {256 * 750, 256 * 125}}));
  EXPECT_EQ(division.rests,
            (std::vector<Range>{{256 * 250, 256 * 250}, {256 * 625, 256 * 125}, {256 * 875, 256 * 125}}));
  EXPECT_DOUBLE_EQ(copied_share({.share = 0.5, .weights = {2, 1, 1}}, 0, 3), 0.75);
  EXPECT_DOUBLE_EQ(copied_share({.share = 1}, 1, 4), 0.25);
  EXPECT_DOUBLE_EQ(copied_share({.share = 0}, 1, 4), 1);
}

// Its own part for all first, then the rests, each rank from another place on.
TEST(Shares, WhatIsSharedIsCopiedFirst) {
  const std::vector<Range> all = {{.offset = 0, .bytes = 256 * 40}};
  const Division division = divide(all, {.share = 0.5}, 2);
  EXPECT_EQ(copied_of(all, division, 0),
            (std::vector<Range>{{0, 256 * 10}, {256 * 10, 256 * 10}, {256 * 30, 256 * 10}}));
  EXPECT_EQ(copied_of(all, division, 1),
            (std::vector<Range>{{256 * 20, 256 * 10}, {256 * 30, 256 * 10}, {256 * 10, 256 * 10}}));
}

TEST(Shares, OfNothingAreEmpty) {
  const Division division = divide({}, {.share = 1}, 4);
  EXPECT_EQ(total_bytes(division.shared), 0U);
  EXPECT_TRUE(copied_of({}, division, 3).empty());
}

TEST(Shares, ThatMakeNoSenseAreRefused) {
  for (const Sharing& wrong : std::vector<Sharing>{{.share = -0.1},
                                                   {.share = 1.1},
                                                   {.share = std::nan("")},
                                                   {.share = 1, .weights = {1}},
                                                   {.share = 1, .weights = {1, -1}},
                                                   {.share = 1, .weights = {0, 0}}}) {
    EXPECT_THROW(divide(kWanted, wrong, 2), std::invalid_argument) << wrong.share;
  }
}

TEST(Slices, AreOfOneSizeAndNoMoreThanThereAreEvents) {
  const Range range{.offset = 512, .bytes = 256 * 10};
  EXPECT_EQ(slices_of(range, 256 * 4, 99),
            (std::vector<Range>{{512, 256 * 4}, {512 + 256 * 4, 256 * 4}, {512 + 256 * 8, 256 * 2}}));
  EXPECT_EQ(slices_of(range, 256 * 5, 99).size(), 2U);
  EXPECT_EQ(slices_of(range, 256 * 4, 2).size(), 2U);
  EXPECT_EQ(slices_of(range, 256, 1), std::vector<Range>{range});
  EXPECT_TRUE(slices_of({}, 256, 9).empty());
  // A rank's part of what later forwards want of a 14B block.
  for (const int ranks : {2, 4}) {
    const auto bytes = std::size_t{598'012'928} / static_cast<std::size_t>(ranks);
    const std::vector<Range> slices = slices_of({.bytes = bytes}, slice_bytes_for(ranks), 99);
    EXPECT_EQ(slices.size(), 36U) << ranks;
    EXPECT_GT(slices.back().bytes, slice_bytes_for(ranks) / 2) << ranks;
  }
}

}  // namespace
}  // namespace ferry::offload
