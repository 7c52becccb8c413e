// How links make parts.
#include "offload/transport/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "offload/transport/shares.h"

namespace ferry::offload {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PartsOfLinks, AreEvenUnlessTheFastestIsAQuarterFaster) {
  EXPECT_THAT(parts_of_links({}), IsEmpty());
  EXPECT_THAT(parts_of_links({20}), IsEmpty());
  EXPECT_THAT(parts_of_links({20, 20, 20, 20}), IsEmpty());
  EXPECT_THAT(parts_of_links({20, 24.9, 20.4, 21}), IsEmpty());
  EXPECT_THAT(parts_of_links({20, 25.1}), ElementsAre(80, 100));
}

TEST(PartsOfLinks, AreHundredthsOfTheFastest) {
  EXPECT_THAT(parts_of_links({12.5, 25, 25, 12.5}), ElementsAre(50, 100, 100, 50));
  EXPECT_THAT(parts_of_links({12.58, 25.05, 24.96, 12.47}), ElementsAre(50, 100, 100, 50)) << "noise";
  EXPECT_THAT(parts_of_links({0.001, 50}), ElementsAre(0, 100));
}

// With all shared every link takes as long.
TEST(PartsOfLinks, EndTogether) {
  const std::vector<double> gbps = {20, 40, 40, 20, 30};
  const Sharing sharing{.share = 1, .weights = parts_of_links(gbps)};
  for (int rank = 0; rank < 5; ++rank) {
    EXPECT_DOUBLE_EQ(copied_share(sharing, rank, 5) / gbps[static_cast<std::size_t>(rank)], 1.0 / 150)
        << rank;
  }
}

TEST(PartsOfLinks, OfNoSpeedAreRefused) {
  for (const double wrong : {0.0, -1.0, std::nan(""), double{INFINITY}}) {
    EXPECT_THROW(parts_of_links({20, wrong}), std::invalid_argument) << wrong;
  }
}

}  // namespace
}  // namespace ferry::offload
