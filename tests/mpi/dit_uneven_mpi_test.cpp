// Ranks that do not divide the heads give what one rank gives.  Tolerances: those of dit_mpi_test.cpp.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <vector>

#include "parallel/ulysses.h"
#include "tests/support/dit_ranks_fixture.h"

namespace ferry::testing {
namespace {

using model::Dit;
using model::DitConfig;
using model::DitContext;
using model::DitRuntime;

DitConfig config_of(std::int64_t heads) {
  constexpr std::int64_t kHeadDim = 24;
  return {.dim = heads * kHeadDim,
          .ffn_dim = 2 * heads * kHeadDim,
          .heads = heads,
          .layers = 2,
          .text_dim = 40,
          .text_len = 19};
}

class UnevenHeads : public DitRanksTest {
 protected:
  // A forward of one branch and one of two, which take turns; 45 tokens.
  std::vector<at::Tensor> run(const DitConfig& config, const DitRuntime& runtime) {
    const auto weights = weights_of(config, runtime.compute);
    const at::Tensor latent = latent_of(3, 6, 10);
    Dit dit(config, *weights, runtime);
    DitContext positive = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
    DitContext negative = dit.encode_context(golden_input({config.text_len, config.text_dim}, 0.7, 0.03));
    DitContext* both[] = {&positive, &negative};
    std::vector<at::Tensor> results = dit.forward(latent, 733, both);
    for (DitContext* branch : both) {
      DitContext* one[] = {branch};
      results.push_back(dit.forward(latent, 733, one)[0]);
    }
    return results;
  }
};

TEST_F(UnevenHeads, GiveWhatOneRankGives) {
  for (const std::int64_t heads : {7, 12, 40}) {
    if (heads < size()) continue;
    const DitConfig config = config_of(heads);
    for (const auto& [compute, tolerance] : {std::pair{DType::F32, 1e-6}, std::pair{DType::BF16, 1e-2}}) {
      if (heads == 40 && compute == DType::BF16) continue;  // slow on two cores
      const auto one = run(config, alone(compute));
      const auto all = run(config, together(compute));
      for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_LE(relative_l2(all[i], one[i]), tolerance) << heads << " heads, result " << i;
      }
      EXPECT_TRUE(at::equal(all[0], all[2]) && at::equal(all[1], all[3]))
          << heads << " heads: branches together are not what each is alone";
    }
  }
}

TEST_F(UnevenHeads, CopiesAndMessagesGiveTheSameBitsOnEveryRank) {
  const DitConfig config = config_of(12);
  if (size() > 12) GTEST_SKIP() << "more ranks than heads";
  std::vector<std::vector<at::Tensor>> results;
  for (const auto by : {parallel::ExchangeBy::Nccl, parallel::ExchangeBy::Copy}) {
    use(by);
    results.push_back(run(config, together(DType::BF16)));
    const bool copies = groups().ulysses->backend().find("cop") != std::string::npos;
    EXPECT_EQ(copies, by == parallel::ExchangeBy::Copy && size() > 1);
  }
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
    at::Tensor of_rank_0 = results[0][i].clone();
    groups().ulysses->broadcast(of_rank_0.data_ptr(), of_rank_0.nbytes(), 0, device().compute());
    EXPECT_TRUE(at::equal(results[0][i], of_rank_0)) << i;
  }
}

TEST_F(UnevenHeads, MoreRanksThanHeadsAreRefused) {
  for (const std::int64_t heads : {1, 2, 4}) {
    const DitConfig config = config_of(heads);
    const auto weights = weights_of(config, DType::F32);
    if (heads >= size()) {
      EXPECT_NO_THROW(Dit(config, *weights, together(DType::F32)));
    } else {
      EXPECT_THROW(Dit(config, *weights, together(DType::F32)), std::invalid_argument);
    }
  }
}

}  // namespace
}  // namespace ferry::testing
