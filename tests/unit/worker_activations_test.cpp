// How a job's networks run.
#include "worker/job/activations.h"

#include <gtest/gtest.h>

namespace ferry::worker {
namespace {

TEST(Activations, ADecodeIsSharedByTheRanksOfAVideoUnlessOneIsToDoIt) {
  Options options;
  const parallel::Mesh mesh{.data = 1, .cfg = 2, .ulysses = 2};
  EXPECT_EQ(decoding_ranks(options, mesh), 4);
  EXPECT_EQ(vae_activations(options, {}, mesh).ranks, 4);
  options.parallel.split_vae = false;
  EXPECT_EQ(decoding_ranks(options, mesh), 1);
}

}  // namespace
}  // namespace ferry::worker
