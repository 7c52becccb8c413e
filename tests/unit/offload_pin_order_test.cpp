#include "offload/arena/pin_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

#include "offload/stage.h"
#include "offload/transport/link.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

// By offset in the arena.
std::map<std::size_t, std::size_t> bytes_at(const std::vector<PinPiece>& pieces) {
  std::map<std::size_t, std::size_t> found;
  for (const PinPiece& piece : pieces) found[piece.offset] += piece.bytes;
  return found;
}

std::size_t total_of(const std::vector<PinPiece>& pieces) {
  std::size_t total = 0;
  for (const PinPiece& piece : pieces) total += piece.bytes;
  return total;
}

const Options kSharded{.type = StrategyKind::Async, .transport = Transport::Sharded};

ArenaPlan forty_layers(int ranks) {
  return make_plan(testing::toy_spec({.layers = 40, .dim = 512, .q_once = true}), kSharded, ranks).arena;
}

TEST(PinOrder, EveryBlobThatIsCopiedIsInOneOrderOrTheOtherOnce) {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    const ArenaPlan arena = forty_layers(ranks);
    const ArenaLayout& layout = arena.layout;
    for (int rank = 0; rank < ranks; ++rank) {
      PinOrder order = pin_order(layout, arena.divided, rank, ranks, ranks);
      EXPECT_EQ(order.rest.empty(), ranks == 1);
      order.first.insert(order.first.end(), order.rest.begin(), order.rest.end());
      std::size_t end = 0;
      for (const auto& [offset, bytes] : bytes_at(order.first)) {
        EXPECT_EQ(offset, end);
        EXPECT_EQ(offset % kBlobAlign, 0U);
        EXPECT_EQ(bytes % kBlobAlign, 0U);
        end = offset + bytes;
      }
      EXPECT_EQ(end, layout.host.offset) << "only the host's blob is left out";
    }
  }
}

// Both in the first pass, which wants whole blocks, and in the others, which want their front.
TEST(PinOrder, TheRanksShareOfABlockComesFirst) {
  constexpr int kRanks = 4;
  const ArenaLayout layout = forty_layers(kRanks).layout;
  for (int rank = 0; rank < kRanks; ++rank) {
    const PinOrder order = pin_order(layout, {7}, rank, kRanks, kRanks);
    const BlockPlace& block = layout.blocks[7];
    ASSERT_LT(block.front, block.blob.bytes);
    const auto piece = std::find_if(order.first.begin(), order.first.end(),
                                    [](const PinPiece& each) { return each.lock == 8; });
    for (const std::size_t bytes : {block.front, block.blob.bytes}) {
      const std::size_t share = bytes / kRanks;
      const std::size_t begin = block.blob.offset + share * static_cast<std::size_t>(rank);
      EXPECT_LE(piece->offset, begin) << rank;
      EXPECT_GE(piece->offset + piece->bytes, begin + share) << rank;
    }
    EXPECT_LT(piece->bytes, block.blob.bytes);
    EXPECT_EQ(order.rest.size(), rank == 0 || rank == kRanks - 1 ? 1U : 2U);
  }
}

// Ranks 0 and 1 share copies, and so do 2 and 3.
TEST(PinOrder, ARankOfASecondGroupBeginsWithItsShareOfItsGroup) {
  constexpr int kSharers = 2;
  const ArenaLayout layout = forty_layers(kSharers).layout;
  const auto first_of = [&](int rank) {
    const PinOrder order = pin_order(layout, {7}, rank, 2 * kSharers, kSharers);
    return *std::find_if(order.first.begin(), order.first.end(),
                         [](const PinPiece& each) { return each.lock == 8; });
  };
  EXPECT_NE(first_of(0).offset, first_of(1).offset);
  for (const int rank : {0, 1}) {
    EXPECT_EQ(first_of(rank).offset, first_of(kSharers + rank).offset);
    EXPECT_EQ(first_of(rank).bytes, first_of(kSharers + rank).bytes);
  }
}

// Of every divided block 1/P, and what lies between where the shares of its front and of all begin.
TEST(PinOrder, WhatComesFirstIsLittleMoreThanAShare) {
  constexpr int kRanks = 4;
  const ArenaPlan arena = forty_layers(kRanks);
  const ArenaLayout& layout = arena.layout;
  const std::vector<int>& divided = arena.divided;
  EXPECT_EQ(divided.size(), 39U) << "the links are measured with the largest";
  for (std::size_t rank = 0; rank < kRanks; ++rank) {
    std::size_t most = layout.head.blob.bytes + layout.tail.blob.bytes + layout.largest_block();
    for (const int b : divided) {
      const BlockPlace& block = block_of(layout, b);
      most += (block.blob.bytes + rank * (block.blob.bytes - block.front)) / kRanks + 2 * kBlobAlign;
    }
    const PinOrder order = pin_order(layout, divided, static_cast<int>(rank), kRanks, kRanks);
    EXPECT_LE(total_of(order.first), most) << rank;
    EXPECT_GT(total_of(order.rest), total_of(order.first)) << rank;
  }
}

TEST(PinOrder, BlocksAreDividedWhereTheyAreFerriedInShares) {
  const auto divided = [](const Options& options, int ranks) {
    return make_plan(testing::toy_spec(), options, ranks).arena.divided;
  };
  EXPECT_EQ(divided(kSharded, 2).size(), 6U);
  EXPECT_EQ(divided({.type = StrategyKind::Async}, 2).size(), 6U) << "auto may share";
  EXPECT_TRUE(divided(kSharded, 1).empty());
  EXPECT_TRUE(divided({.type = StrategyKind::Async, .transport = Transport::Full}, 2).empty());
  EXPECT_TRUE(divided({.type = StrategyKind::None}, 2).empty());
  EXPECT_EQ(divided({.type = StrategyKind::Async, .share = 1}, 2).size(), 6U);
  EXPECT_TRUE(divided({.type = StrategyKind::Async, .share = 0.5}, 2).empty());
  Options half = kSharded;
  half.offload_ratio = 0.5;
  EXPECT_LE(divided(half, 2).size(), 4U);
}

TEST(PinBorders, CutACopyWhereARegistrationEnds) {
  const std::vector<std::byte> memory(64);
  const PinBorders borders(memory.data(), {.first = {{1, 16, 16}}, .rest = {{1, 32, 32}, {1, 0, 16}}});
  EXPECT_EQ(borders.within(memory.data(), 64), 16U);
  EXPECT_EQ(borders.within(memory.data() + 10, 64 - 10), 6U);
  EXPECT_EQ(borders.within(memory.data() + 16, 16), 16U);
  EXPECT_EQ(borders.within(memory.data() + 16, 7), 7U);
  EXPECT_EQ(borders.within(memory.data() + 40, 24), 24U);
  EXPECT_EQ(PinBorders().within(memory.data(), 64), 64U);
}

TEST(PinBorders, ALinkEndsItsChunksThere) {
  std::vector<std::byte> from(64);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i);
  std::vector<std::byte> to(64);
  const PinBorders borders(from.data(), {.first = {{1, 16, 20}}, .rest = {{1, 36, 28}, {1, 0, 16}}});
  struct Chunks : ChunkGuard {
    void before_chunk(Stream&) override { ++count; }
    void after_chunk(Stream&) override {}
    int count = 0;
  } chunks;
  Link link(0, 16, &chunks, nullptr, &borders);
  const auto device = make_cpu_device();
  link.copy(device->compute(), to.data(), from.data(), from.size());
  EXPECT_EQ(to, from);
  EXPECT_EQ(chunks.count, 5) << "16, 16 and 4, 16 and 12";
  EXPECT_EQ(link.copied_bytes(), 64U);
}

}  // namespace
}  // namespace ferry::offload
