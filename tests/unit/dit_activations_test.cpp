// What the activations take, against the figures of wan21.md section 9.4.
#include "model/dit/activations.h"

#include <gtest/gtest.h>

namespace ferry::model {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

const DitConfig k14B{.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};

// At 832x480 and 81 frames.
double mib(DitActivations how) {
  how.latent = {16, 21, 60, 104};
  return static_cast<double>(activation_bytes(k14B, how, DType::BF16)) / kMiB;
}

TEST(DitActivations, ABranchTogetherCostsItsResidualStream) {
  const double one = mib({.ulysses = 1, .branches = 1, .contexts = 2});
  const double two = mib({.ulysses = 1, .branches = 2, .contexts = 2});
  EXPECT_NEAR(two - one, 640, 20);  // L * C * 4 bytes, and a velocity
}

TEST(DitActivations, AContextCostsItsKeysAndValues) {
  const double one = mib({.ulysses = 1, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 1, .branches = 1, .contexts = 2});
  EXPECT_NEAR(two - one, 40 * 2 * 512 * 5120 * 2 / kMiB, 1);
}

TEST(DitActivations, RanksShareTheTokens) {
  EXPECT_LT(mib({.ulysses = 4, .branches = 1, .contexts = 1}),
            0.5 * mib({.ulysses = 1, .branches = 1, .contexts = 1}));
}

// Branches that take turns each have their own exchanges under way: 5 parts of s x C, and a result.
TEST(DitActivations, ABranchTogetherOnSeveralRanksAlsoCostsItsExchanges) {
  const double one = mib({.ulysses = 4, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 4, .branches = 2, .contexts = 1});
  const double part = 8190.0 * 5120 * 2 / kMiB;
  EXPECT_NEAR(two - one, 2 * part + 6 * part, 20);  // the residual stream is fp32
}

// 40 heads on 3 ranks: the first has 14, for which every rank has room.
TEST(DitActivations, UnevenHeadsCostWhatTheRankWithTheMostHas) {
  const double one = mib({.ulysses = 3, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 3, .branches = 2, .contexts = 1});
  const double part = 10920.0 * 5120 * 2 / kMiB;
  const double attended = 32760.0 * 14 * 128 * 2 / kMiB;
  EXPECT_NEAR(two - one, 2 * part + 2 * part + 4 * attended, 20);
}

TEST(DitActivations, A14BForwardStaysBelowWhatTheTargetLeaves) {
  // The target of async is 6.0 GiB, of which two blocks and head and tail take 2.2 GiB.
  EXPECT_LT(mib({.ulysses = 1, .branches = 1, .contexts = 1}), 3.8 * 1024);
}

}  // namespace
}  // namespace ferry::model
