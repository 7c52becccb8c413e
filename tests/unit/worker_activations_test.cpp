// What the activations take, against the figures of wan21.md section 9.4 and against measurements.
#include "worker/job/activations.h"

#include <gtest/gtest.h>

namespace ferry::worker {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

const model::DitConfig k14B{.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};

Job job_480p() {
  Job job;
  job.width = 832;
  job.height = 480;
  job.frames = 81;
  job.latent_shape = {16, 21, 60, 104};
  return job;
}

double mib(const DitActivations& how) { return activation_bytes(k14B, job_480p(), how, DType::BF16) / kMiB; }

TEST(Activations, ABranchTogetherCostsItsResidualStream) {
  const double one = mib({.ulysses = 1, .branches = 1, .contexts = 2});
  const double two = mib({.ulysses = 1, .branches = 2, .contexts = 2});
  EXPECT_NEAR(two - one, 640, 20);  // L * C * 4 bytes, and a velocity
}

TEST(Activations, AContextCostsItsKeysAndValues) {
  const double one = mib({.ulysses = 1, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 1, .branches = 1, .contexts = 2});
  EXPECT_NEAR(two - one, 40 * 2 * 512 * 5120 * 2 / kMiB, 1);
}

TEST(Activations, RanksShareTheTokens) {
  EXPECT_LT(mib({.ulysses = 4, .branches = 1, .contexts = 1}),
            0.5 * mib({.ulysses = 1, .branches = 1, .contexts = 1}));
}

// Branches that take turns each have their own exchanges under way: 5 parts of s x C, and a result.
TEST(Activations, ABranchTogetherOnSeveralRanksAlsoCostsItsExchanges) {
  const double one = mib({.ulysses = 4, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 4, .branches = 2, .contexts = 1});
  const double part = 8190.0 * 5120 * 2 / kMiB;
  EXPECT_NEAR(two - one, 2 * part + 6 * part, 20);  // the residual stream is fp32
}

// 40 heads on 3 ranks: the first has 14, for which every rank has room.
TEST(Activations, UnevenHeadsCostWhatTheRankWithTheMostHas) {
  const double one = mib({.ulysses = 3, .branches = 1, .contexts = 1});
  const double two = mib({.ulysses = 3, .branches = 2, .contexts = 1});
  const double part = 10920.0 * 5120 * 2 / kMiB;
  const double attended = 32760.0 * 14 * 128 * 2 / kMiB;
  EXPECT_NEAR(two - one, 2 * part + 2 * part + 4 * attended, 20);
}

TEST(Activations, A14BForwardStaysBelowWhatTheTargetLeaves) {
  // The target of async is 6.0 GiB, of which two blocks and head and tail take 2.2 GiB.
  EXPECT_LT(mib({.ulysses = 1, .branches = 1, .contexts = 1}), 3.8 * 1024);
}

// docs/results/h100_memory.jsonl: what decodes of 81 frames had in use at most.
TEST(Activations, ADecodeTakesAtMostWhatIsEstimatedAndLittleLess) {
  struct Measured {
    std::int64_t width, height;
    DType compute;
    double bytes;
  };
  for (const auto& [width, height, compute, bytes] :
       {Measured{832, 480, DType::F32, 5992258048}, Measured{832, 480, DType::BF16, 3967926272},
        Measured{1280, 720, DType::F32, 13775475200}, Measured{1280, 720, DType::BF16, 9106128896}}) {
    Job job = job_480p();
    job.width = width;
    job.height = height;
    const auto estimate = static_cast<double>(activation_bytes(model::VaeConfig{}, job, 1, compute));
    EXPECT_GE(estimate, bytes) << width << " " << name_of(compute);
    EXPECT_LE(estimate, 1.15 * bytes) << width << " " << name_of(compute);
  }
}

TEST(Activations, RanksThatDecodeTogetherShareTheRows) {
  const auto bytes = [](const Job& job, int ranks) {
    return static_cast<double>(activation_bytes(model::VaeConfig{}, job, ranks, DType::F32));
  };
  const double one = bytes(job_480p(), 1);
  for (const int ranks : {2, 4, 8}) {  // 8 do not divide 60 rows: the longest band has 8
    const double share = static_cast<double>((60 + ranks - 1) / ranks) / 60;
    EXPECT_GE(bytes(job_480p(), ranks), share * one) << ranks;
    EXPECT_LE(bytes(job_480p(), ranks), 1.07 * share * one) << ranks;
  }
  Job small = job_480p();
  small.height = 16;
  EXPECT_EQ(bytes(small, 4), bytes(small, 1)) << "2 rows for 4 ranks: each decodes all";
}

TEST(Activations, ADecodeIsSharedByTheRanksOfAVideoUnlessOneIsToDoIt) {
  Options options;
  const parallel::Mesh mesh{.data = 1, .cfg = 2, .ulysses = 2};
  EXPECT_EQ(decoding_ranks(options, mesh), 4);
  options.parallel.split_vae = false;
  EXPECT_EQ(decoding_ranks(options, mesh), 1);
}

}  // namespace
}  // namespace ferry::worker
