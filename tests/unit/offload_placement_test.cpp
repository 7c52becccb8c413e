#include "offload/arena/placement.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/host/numa.h"
#include "base/host/pages.h"
#include "offload/arena/arena.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

const std::size_t kPage = page_bytes();

TEST(Placement, PagesOfAllRanksAreTheWholeArenaOnce) {
  for (const int ranks : {1, 2, 3, 8}) {
    const ArenaLayout layout =
        arena_layout(testing::toy_spec({.layers = 3, .dim = 200, .q_once = true}), ranks);
    std::vector<int> owners(round_up(layout.bytes, kPage) / kPage);
    for (int rank = 0; rank < ranks; ++rank) {
      for (const Pages& pages : own_pages(layout, rank, ranks)) {
        ASSERT_EQ(pages.offset % kPage, 0U);
        ASSERT_EQ(pages.bytes % kPage, 0U);
        for (std::size_t p = 0; p < pages.bytes / kPage; ++p) ++owners.at(pages.offset / kPage + p);
      }
    }
    EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), static_cast<std::ptrdiff_t>(owners.size()))
        << ranks;
  }
}

// Of what later passes bring, and of the rest.
TEST(Placement, ARanksPagesHoldItsShardsOfEachBlock) {
  const ArenaLayout layout = arena_layout(testing::toy_spec({.layers = 3, .dim = 512, .q_once = true}), 2);
  const std::vector<Pages> second = own_pages(layout, 1, 2);
  const auto holds = [&](std::size_t begin, std::size_t end) {
    return std::any_of(second.begin(), second.end(), [&](const Pages& pages) {
      return pages.offset == round_up(begin, kPage) && pages.offset + pages.bytes >= end;
    });
  };
  for (const BlockPlace& block : layout.blocks) {
    const std::size_t begin = block.blob.offset;
    const std::size_t front = begin + block.front;
    const std::size_t end = begin + block.blob.bytes;
    ASSERT_LT(front, end);
    EXPECT_TRUE(holds(begin + block.front / 2, front));
    EXPECT_TRUE(holds(front + (end - front) / 2, end));
  }
}

std::size_t resident_pages(const NodeMemory& memory) {
  std::vector<unsigned char> in((memory.bytes() + kPage - 1) / kPage);
  EXPECT_EQ(::mincore(memory.data(), memory.bytes(), in.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(in.begin(), in.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

// The one node of this machine stands for the many: pages are there before anybody has written to them.
TEST(Placement, PagesAreBackedBeforeLoadingWhereARankHasAHome) {
  const ArenaLayout layout = arena_layout(testing::toy_spec({.layers = 7, .dim = 512}), 2);
  const std::vector<NumaNode> nodes = numa_nodes();
  for (const int home : {-1, 0}) {
    if (home == 0 && nodes.empty()) GTEST_SKIP() << "the system tells of no NUMA node";
    testing::run_ranks(2, [&](const parallel::Peers& peers) {
      const auto memory =
          make_memfd_memory({.bytes = layout.bytes, .files = borders_of(layout, kPage)}, peers);
      const int node = home < 0 ? -1 : nodes[0].id;
      place_pages(*memory, layout, {.peers = peers, .home = node}, "toy");
      barrier(peers);
      const std::size_t pages = resident_pages(*memory);
      barrier(peers);  // reading backs pages too
      EXPECT_EQ(pages, home < 0 ? 0 : (layout.bytes + kPage - 1) / kPage);
      EXPECT_EQ(std::count(memory->data(), memory->data() + layout.bytes, std::byte{0}),
                static_cast<std::ptrdiff_t>(layout.bytes));
    });
  }
}

}  // namespace
}  // namespace ferry::offload
