#include "parallel/choose_cfg.h"

#include <gtest/gtest.h>

namespace ferry::parallel {
namespace {

constexpr std::size_t kGB = 1'000'000'000;

struct Row {
  const char* what;
  CfgCase on;
  CfgMode mode;
};

CfgCase with(int ranks, int heads) {
  return {.ranks = ranks, .heads = heads, .bytes = 32 * kGB, .total_bytes = 80 * kGB};
}

CfgCase given(CfgCase on, const Options& options) {
  on.options = options;
  return on;
}

CfgCase unguided(CfgCase on) {
  on.guided = false;
  return on;
}

CfgCase taking(CfgCase on, std::size_t bytes) {
  on.bytes = bytes;
  return on;
}

CfgCase on_nodes(CfgCase on, const std::vector<int>& nodes) {
  on.nodes = nodes;
  return on;
}

TEST(ChooseCfg, FollowsItsTable) {
  using enum CfgMode;
  const Row rows[] = {
      {"one rank", with(1, 40), Paired},
      {"two ranks exchange nothing in halves", with(2, 40), Parallel},
      {"two ranks", with(2, 12), Parallel},
      {"odd ranks", with(3, 12), Paired},
      {"four ranks measured alike", with(4, 40), Paired},
      {"eight ranks", with(8, 40), Paired},
      {"12 heads go evenly on four ranks, not on eight", with(8, 12), Parallel},
      {"40 heads go evenly on eight ranks, not on sixteen", with(16, 40), Parallel},
      {"12 heads go more evenly on five ranks than on ten", with(10, 12), Parallel},
      {"40 heads go as evenly on six ranks as on three", with(6, 40), Paired},
      {"12 heads are too few for sixteen ranks", with(16, 12), Parallel},
      {"12 heads are too few for half of 26 ranks", with(26, 12), Paired},
      {"one head: halves of one rank", with(2, 1), Parallel},
      {"one branch", unguided(with(2, 40)), Paired},
      {"one branch, which sixteen ranks cannot share", unguided(with(16, 12)), Paired},
      {"halves do not fit", taking(with(2, 40), 77 * kGB), Paired},
      {"halves just fit", taking(with(2, 40), 76 * kGB), Parallel},
      {"more even halves do not fit", taking(with(8, 12), 77 * kGB), Paired},
      {"halves do not fit, nor does anything else", taking(with(16, 12), 77 * kGB), Parallel},
      {"ulysses 2 of four ranks", given(with(4, 40), {.ulysses = 2}), Parallel},
      {"ulysses 4 of four ranks", given(with(4, 40), {.ulysses = 4}), Paired},
      {"ulysses 2 of two ranks", given(with(2, 40), {.ulysses = 2}), Paired},
      {"ulysses 2 of four ranks, one branch", unguided(given(with(4, 40), {.ulysses = 2})), Paired},
      {"four ranks on one node", on_nodes(with(4, 40), {0, 0, 0, 0}), Paired},
      {"four ranks on two nodes", on_nodes(with(4, 40), {0, 0, 1, 1}), Parallel},
      {"three on one node, one on another", on_nodes(with(4, 40), {0, 0, 0, 1}), Parallel},
      {"sixteen ranks on four nodes",
       on_nodes(with(16, 48), {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}), Parallel},
      {"two nodes, halves do not fit", taking(on_nodes(with(4, 40), {0, 0, 1, 1}), 77 * kGB), Paired},
      {"two nodes, one branch", unguided(on_nodes(with(4, 40), {0, 0, 1, 1})), Paired},
      {"three ranks on two nodes", on_nodes(with(3, 12), {0, 0, 1}), Paired},
      {"one video, whatever is left", given(with(4, 40), {.ulysses = 2, .data = 0}), Parallel},
  };
  for (const Row& row : rows) {
    const CfgChoice choice = choose_cfg(row.on);
    EXPECT_EQ(choice.mode, row.mode) << row.what << ": " << choice.why;
    EXPECT_NE(choice.why, "") << row.what;
  }
}

TEST(ChooseCfg, SaysWhy) {
  EXPECT_EQ(choose_cfg(with(2, 40)).why, "2 ranks in halves exchange nothing in a forward");
  EXPECT_EQ(choose_cfg(with(8, 12)).why, "12 heads go more evenly on 4 ranks than on 8");
  EXPECT_EQ(choose_cfg(with(16, 12)).why, "16 ranks cannot share a sequence (12 heads)");
  EXPECT_EQ(choose_cfg(given(with(4, 40), {.ulysses = 2})).why,
            "4 ranks cannot share a sequence (40 heads, ulysses 2)");
  EXPECT_EQ(choose_cfg(on_nodes(with(4, 40), {0, 0, 1, 1})).why,
            "4 ranks are on 2 nodes, and each half's exchanges stay inside one");
  EXPECT_EQ(choose_cfg(on_nodes(with(4, 40), {0, 0, 0, 1})).why,
            "4 ranks are on 2 nodes, and in halves send less between them");
  EXPECT_EQ(choose_cfg(taking(with(2, 40), 77 * kGB)).why, "in halves a rank would take 77.0 GB of 80.0 GB");
}

TEST(ChooseCfg, EveryModeHasItsName) {
  EXPECT_EQ(word_of(CfgMode::Auto), "auto");
  EXPECT_EQ(word_of(CfgMode::Serial), "serial");
  EXPECT_EQ(word_of(CfgMode::Paired), "paired");
  EXPECT_EQ(word_of(CfgMode::Parallel), "parallel");
}

}  // namespace
}  // namespace ferry::parallel
