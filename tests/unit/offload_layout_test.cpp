#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

#include "offload/arena/layout.h"
#include "offload/arena/loader.h"
#include "offload/transport/slots.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::toy_spec;

TEST(ArenaLayout, EveryTensorHasItsOwnBytesAtA256ByteBorderInsideItsBlob) {
  const model::NetworkSpec spec = toy_spec({.layers = 3, .dim = 40});
  const ArenaLayout layout = arena_layout(spec, 4);
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const model::ModuleId id : all_modules(spec)) {
    const Blob& blob = blob_of(layout, id);
    for (const TensorPlace& tensor : place_of(layout, id).tensors) {
      EXPECT_EQ(tensor.offset % 256, 0U);
      EXPECT_LE(tensor.offset + tensor.format.bytes, blob.bytes);
      ranges.emplace_back(blob.offset + tensor.offset, blob.offset + tensor.offset + tensor.format.bytes);
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_GE(ranges[i].first, ranges[i - 1].second);
  EXPECT_LE(ranges.back().second, layout.bytes);
}

TEST(ArenaLayout, BlobsStartAtPagesAndArePaddedToAMultipleOfTheRanks) {
  const ArenaLayout layout = arena_layout(toy_spec({.layers = 3, .dim = 40}), 3);
  std::set<std::size_t> starts;
  for (const Blob& blob : {layout.head.blob, layout.blocks[0].blob, layout.blocks[1].blob,
                           layout.blocks[2].blob, layout.tail.blob, layout.host}) {
    EXPECT_EQ(blob.offset % 4096, 0U);
    EXPECT_EQ(blob.bytes % (3 * 256), 0U);
    EXPECT_TRUE(starts.insert(blob.offset).second);
  }
  EXPECT_EQ(*starts.rbegin(), layout.host.offset);
}

TEST(ArenaLayout, HostOnlyModulesAreNotInTheBlobThatIsCopied) {
  model::NetworkSpec spec = toy_spec({.layers = 1, .dim = 64});
  const ArenaLayout with = arena_layout(spec, 1);
  spec.head[0].host_only = false;
  const ArenaLayout without = arena_layout(spec, 1);
  EXPECT_EQ(without.head.blob.bytes - with.head.blob.bytes, 50 * 64 * 2U);
  EXPECT_EQ(with.host.bytes, 50 * 64 * 2U);
  EXPECT_EQ(without.host.bytes, 0U);
}

TEST(ArenaLayout, WhatOnlyTheFirstPassUsesLiesBehindTheRestOfItsBlock) {
  const ArenaLayout plain = arena_layout(toy_spec({.layers = 2, .dim = 40}), 3);
  const ArenaLayout layout = arena_layout(toy_spec({.layers = 2, .dim = 40, .q_once = true}), 3);
  for (const BlockPlace& block : layout.blocks) {
    const ModulePlace& modulation = block.modules[1];
    const ModulePlace& q = block.modules[2];
    const ModulePlace& k = block.modules[3];
    const ModulePlace& ffn = block.modules[4];
    EXPECT_EQ(k.offset, modulation.offset + modulation.bytes);
    EXPECT_EQ(q.offset, ffn.offset + ffn.bytes);
    EXPECT_EQ(block.front, round_up(q.offset, 3 * 256));
    EXPECT_EQ(block.blob.bytes, plain.blocks[0].blob.bytes);
    EXPECT_EQ(q.bytes, plain.blocks[0].modules[2].bytes) << "modules keep their places in the list";
  }
  EXPECT_EQ(plain.blocks[0].front, plain.blocks[0].blob.bytes);
}

TEST(RangesOf, AreAscendingWhateverTheOrderOfTheModules) {
  const ArenaLayout layout = arena_layout(toy_spec({.layers = 1, .dim = 40, .q_once = true}), 1);
  const BlockPlace& block = layout.blocks[0];
  const std::size_t q = block.modules[2].offset;
  EXPECT_THAT(ranges_of(block, {true, true, true, true, true}),
              ::testing::ElementsAre(Range{0, q + block.modules[2].bytes}));
  EXPECT_THAT(ranges_of(block, {true, true, false, true, true}), ::testing::ElementsAre(Range{0, q}));
  EXPECT_THAT(ranges_of(block, {false, false, true, true, false}),
              ::testing::ElementsAre(Range{block.modules[3].offset, block.modules[3].bytes},
                                     Range{q, block.modules[2].bytes}));
}

TEST(Loader, PiecesCoverEveryRowOnceAndStayBelowTheSize) {
  const model::NetworkSpec spec = toy_spec({.layers = 2, .dim = 96});
  const ArenaLayout layout = arena_layout(spec, 1);
  std::map<std::string, std::int64_t> rows;
  for (const Piece& piece : pieces_of(spec, layout, 4096)) {
    EXPECT_EQ(piece.row_begin, rows[piece.tensor->key]);
    EXPECT_LE(piece.bytes, 4096U);
    rows[piece.tensor->key] = piece.row_end;
  }
  for (const model::ModuleId id : all_modules(spec)) {
    for (const auto& tensor : model::module_of(spec, id).tensors)
      EXPECT_EQ(rows[tensor.key], tensor.shape[0]);
  }
}

TEST(Loader, SharesOfTheRanksAreEvenAndLoseNothing) {
  const model::NetworkSpec spec = toy_spec({.layers = 5, .dim = 96});
  const std::vector<Piece> pieces = pieces_of(spec, arena_layout(spec, 1), 4096);
  std::size_t total = 0;
  for (const Piece& piece : pieces) total += piece.bytes;
  std::size_t count = 0;
  for (int rank = 0; rank < 4; ++rank) {
    std::size_t bytes = 0;
    for (const Piece& piece : portion_of(pieces, rank, 4)) bytes += piece.bytes;
    count += portion_of(pieces, rank, 4).size();
    EXPECT_NEAR(static_cast<double>(bytes), static_cast<double>(total) / 4, 4096.0);
  }
  EXPECT_EQ(count, pieces.size());
}

TEST(Loader, ThreadsThatTakeOnePieceAfterTheOtherAreFarApart) {
  const model::NetworkSpec spec = toy_spec({.layers = 5, .dim = 96});
  const std::vector<Piece> pieces = pieces_of(spec, arena_layout(spec, 1), 4096);
  const auto index = [&](const Piece& piece) {
    const auto same = [&](const Piece& each) {
      return each.tensor == piece.tensor && each.row_begin == piece.row_begin;
    };
    return std::find_if(pieces.begin(), pieces.end(), same) - pieces.begin();
  };
  for (const int threads : {1, 2, 3, 8, 1000}) {
    const std::vector<Piece> order = spread(pieces, threads);
    std::set<std::ptrdiff_t> seen;
    for (const Piece& piece : order) seen.insert(index(piece));
    EXPECT_EQ(order.size(), pieces.size()) << threads;
    EXPECT_EQ(seen.size(), pieces.size()) << threads;
    const auto apart = static_cast<std::ptrdiff_t>(pieces.size()) / threads;
    for (int i = 1; i < std::min(threads, 8); ++i) {
      EXPECT_GE(index(order[static_cast<std::size_t>(i)]) - index(order[static_cast<std::size_t>(i) - 1]),
                apart);
    }
  }
}

TEST(ArenaLayout, FilesBeginAtBlobsAndInTheHostsPart) {
  const ArenaLayout layout = arena_layout(toy_spec({.layers = 100, .dim = 96}), 2);
  std::set<std::size_t> blobs = {layout.tail.blob.offset};
  for (const BlockPlace& block : layout.blocks) blobs.insert(block.blob.offset);
  EXPECT_TRUE(borders_of(layout, layout.bytes).empty());
  for (const std::size_t least : {std::size_t{1}, std::size_t{1} << 20, layout.bytes / 5}) {
    std::size_t last = 0;
    const std::vector<std::size_t> borders = borders_of(layout, least);
    EXPECT_LE(borders.size(), kMostBorders);
    EXPECT_GE(borders.size(), 2U);
    for (const std::size_t border : borders) {
      EXPECT_TRUE(border >= layout.host.offset || blobs.contains(border)) << border;
      EXPECT_EQ(border % kBlobAlign, 0U);
      EXPECT_GE(border - last, least);
      last = border;
    }
    EXPECT_GE(layout.bytes - last, least);
  }
  const ArenaLayout table = arena_layout(toy_spec({.layers = 1, .dim = 96}), 2);
  ASSERT_GE(table.host.bytes, 2 * kBlobAlign);
  EXPECT_GT(borders_of(table, kBlobAlign).back(), table.host.offset) << "the host's part is cut too";
}

}  // namespace
}  // namespace ferry::offload
