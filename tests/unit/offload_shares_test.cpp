// Who copies what of a block with transport `sharded`: the published 14B network in bf16.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/dit/spec.h"
#include "offload/transport.h"

namespace ferry::offload {
namespace {

model::NetworkSpec dit_14b() {
  return model::dit_spec({.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40}, DType::BF16);
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
    const std::size_t shard = shard_bytes(ranges, ranks);
    EXPECT_LE(shard * static_cast<std::size_t>(ranks), layout.blocks[b].blob.bytes);
    if (!first) {
      EXPECT_EQ(shard * static_cast<std::size_t>(ranks), layout.blocks[b].front);
    }
    shares.gathered += shard * static_cast<std::size_t>(ranks - 1);
    std::size_t all = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const std::size_t mine = total_bytes(share_of(ranges, rank, ranks));
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

TEST(Shares, OfNothingAreEmpty) {
  EXPECT_EQ(shard_bytes({}, 4), 0U);
  EXPECT_TRUE(share_of(std::vector<Range>(), 3, 4).empty());
}

}  // namespace
}  // namespace ferry::offload
