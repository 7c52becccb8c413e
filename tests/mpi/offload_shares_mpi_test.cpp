// Shares of copies, even and uneven, whole and in slices, bring every byte to every rank: the bit-identical
// latent of `none`, on the devices of the program.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "tests/mpi/shares_fixture.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using parallel::ExchangeBy;
using testing::kSmallSlice;
using testing::same_bits;

class SharesOfCopies : public testing::SharesTest {
 protected:
  void SetUp() override {
    SharesTest::SetUp();
    if (!has_device()) return;
    DeviceAccount account;
    const auto stage = testing::stage_over(arena(), {.type = StrategyKind::None}, setup(account));
    expected_ = testing::denoise(rig(), *stage).cpu();
    ASSERT_FALSE(expected_.isnan().any().item<bool>());
  }
  const at::Tensor& expected() const { return expected_; }
  testing::DitRig rig() {
    return {.device = &device(), .groups = size() == 1 ? nullptr : &groups(), .exchange_stream = &exchange()};
  }
  at::Tensor latent(const AsyncPlan& plan, int prefetch = 1, double link_gbps = 0) {
    DeviceAccount account;
    const auto stage = make(account, plan, prefetch, link_gbps);
    const at::Tensor x = testing::denoise(rig(), *stage).cpu();
    stage->finish();
    EXPECT_EQ(account.now(), 0U);
    return x;
  }
  // Sizes of the ranks' parts beside each other; one of them has none.
  std::vector<double> uneven() const {
    std::vector<double> weights = {3, 1, 0, 2};
    weights.resize(static_cast<std::size_t>(size()));
    return weights;
  }

 private:
  at::Tensor expected_;
};

TEST_F(SharesOfCopies, EveryShareGivesTheSameBits) {
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    for (const double share : {0.0, 0.25, 0.5, 1.0}) {
      for (const int prefetch : {1, 2, 3}) {
        if (by == ExchangeBy::Nccl && prefetch > 1) continue;  // nothing is in slices there
        gather_in_own_stream(prefetch == 2);
        const AsyncPlan plan{.sharing = {.share = share},
                             .slice_bytes = prefetch == 3 ? kSliceBytes : kSmallSlice};
        EXPECT_TRUE(same_bits(latent(plan, prefetch), expected()))
            << share << " " << prefetch << " " << groups().copy_sharers->backend();
      }
    }
  }
}

TEST_F(SharesOfCopies, UnevenPartsGiveTheSameBits) {
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    for (const double share : {0.25, 1.0}) {
      const AsyncPlan plan{.sharing = {.share = share, .weights = uneven()}, .slice_bytes = kSmallSlice};
      EXPECT_TRUE(same_bits(latent(plan, 2), expected())) << share << " " << groups().copy_sharers->backend();
    }
  }
}

// The others' parts are there long before the rests that a rank copies for itself.
TEST_F(SharesOfCopies, TheRestsAreWaitedForToo) {
  use(ExchangeBy::Copy);
  gather_in_own_stream(true);
  const AsyncPlan plan{.sharing = {.share = 0.25}, .slice_bytes = kSmallSlice};
  EXPECT_TRUE(same_bits(latent(plan, 1, 0.05), expected()));
}

TEST_F(SharesOfCopies, GatedByEventsTheyGiveTheSameBits) {
  use(ExchangeBy::Copy);
  for (const double share : {0.5, 1.0}) {
    const AsyncPlan plan{.sharing = {.share = share},
                         .interleave = Interleave::Gated,
                         .gate_by_events = true,
                         .slice_bytes = kSmallSlice};
    EXPECT_TRUE(same_bits(latent(plan), expected())) << share;
  }
}

// Between two passes of one run, in both directions, as where the share is open.
TEST_F(SharesOfCopies, OnesThatChangeGiveTheSameBits) {
  if (size() == 1) GTEST_SKIP() << "one rank has nothing to share";
  constexpr int kSteps = 10;
  DeviceAccount account;
  auto stage = testing::stage_over(arena(), {.type = StrategyKind::None}, setup(account));
  const at::Tensor expected = testing::denoise(rig(), *stage, kSteps).cpu();
  stage.reset();
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    gather_in_own_stream(by == ExchangeBy::Copy);
    for (const double first : {0.0, 1.0}) {
      AsyncPlan plan{.sharing = {.share = first}, .slice_bytes = kSmallSlice};
      plan.open =
          AutoSharePlan{.figures = {.block_bytes = 1, .together_gbps = 1, .gather_gbps = 1, .ranks = size()},
                        .took = [first](double share) {
                          return PassTime{.ms = share == first ? 100.0 : 50, .copies_ms = 90};
                        }};
      stage = make(account, plan, 2);
      EXPECT_TRUE(same_bits(testing::denoise(rig(), *stage, kSteps).cpu(), expected))
          << first << " " << groups().copy_sharers->backend();
      const Report report = stage->report();
      EXPECT_TRUE(report.share_settled);
      EXPECT_EQ(report.share, 1 - first) << report.share_why;
      stage.reset();
    }
  }
}

// The slots go and come back, everything is resident for a while; and every run makes new contexts, so that
// its first forward wants modules that the last ones left out.
TEST_F(SharesOfCopies, SlotsThatComeAndGoGiveTheSameBits) {
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    DeviceAccount account;
    const auto stage =
        make(account, {.sharing = {.share = 0.5, .weights = uneven()}, .slice_bytes = kSmallSlice});
    auto& async = dynamic_cast<Async&>(stage->strategy());
    const auto run = [&](const char* after) {
      EXPECT_TRUE(same_bits(testing::denoise(rig(), *stage).cpu(), expected())) << after;
    };
    run("a start");
    async.cleanup_gpu_cache();
    run("no cache");
    async.disable_offload();
    run("nothing ferried");
    async.enable_offload();
    run("ferried again");
    stage->finish();
    run("another stage");
  }
}

// What a rank could free for it does not decide whether the ranks try again.
TEST_F(SharesOfCopies, AFullDeviceIsTriedAgainByAllRanks) {
  use(ExchangeBy::Copy);
  constexpr double kDeadline_s = 20;
  DeviceAccount account;
  int reclaims = 0;
  account.add_reclaim(this, [&](std::size_t) {
    ++reclaims;
    return static_cast<std::size_t>(rank() == 0 ? 1 : 0);
  });
  const std::size_t bytes = rank() == size() - 1 ? std::size_t{1} << 50 : 4096;
  session().set_deadline(kDeadline_s);
  EXPECT_THROW(AccountedMemory(device(), account, Category::Slots, bytes, groups().copy_sharers.get()),
               OutOfMemory);
  session().barrier();
  session().set_deadline(600);
  EXPECT_EQ(reclaims, 1);
  EXPECT_EQ(account.now(), 0U);
}

// Of a later forward: this rank's part of what is shared and all of what is not go over its own link, the
// parts of the others come from them.
TEST_F(SharesOfCopies, EachRankCopiesItsPartAndTheRests) {
  std::uint64_t wanted = 0;
  for (std::size_t b = 0; b < arena().layout().blocks.size(); ++b) {
    const BlockPlace& block = arena().layout().blocks[b];
    for (std::size_t m = 0; m < block.modules.size(); ++m) {
      if (!arena().spec().blocks[b].modules[m].once) wanted += block.modules[m].bytes;
    }
  }
  for (const Sharing& sharing :
       {Sharing{.share = 0.25}, Sharing{.share = 1}, Sharing{.share = 0.5, .weights = uneven()}}) {
    DeviceAccount account;
    const auto stage = make(account, {.sharing = sharing});
    const auto after = [&](int steps) {
      testing::denoise(rig(), *stage, steps);
      return stage->report();
    };
    const Report first = after(2);
    const Report second = after(2);
    const Report third = after(4);
    // Two more later forwards than the run before.
    const auto of_two = [&](std::uint64_t Report::*bytes) {
      return static_cast<double>(third.*bytes + first.*bytes) - 2 * static_cast<double>(second.*bytes);
    };
    const double mine = copied_share(sharing, rank(), size());
    const double rounding = 2.0 * 7 * 256 * size();
    EXPECT_NEAR(of_two(&Report::ferried_bytes), 2 * mine * static_cast<double>(wanted), rounding);
    EXPECT_NEAR(of_two(&Report::gathered_bytes), 2 * (1 - mine) * static_cast<double>(wanted), rounding);
  }
}

}  // namespace
}  // namespace ferry::offload
