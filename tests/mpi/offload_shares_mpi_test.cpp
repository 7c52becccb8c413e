// Shares of copies, even and uneven, whole and in slices, bring every byte to every rank: the bit-identical
// latent of `none`, on the devices of the program.  Slots are poisoned when they are released, so that a read
// too late, or a slice that lands in a slot still used, is a NaN and not luck.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "offload/async.h"
#include "tests/support/ranks_fixture.h"
#include "tests/unit/offload_dit.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using parallel::ExchangeBy;
using testing::ranks;
using testing::same_bits;

constexpr std::size_t kSmallSlice = 2048;  // of blocks of some 200 KB

class SharesOfCopies : public testing::DeviceRanksTest {
 protected:
  void SetUp() override {
    DeviceRanksTest::SetUp();
    if (!has_device()) return;
    arena_ = testing::dit_arena(node_ranks(ranks()), {}, DType::BF16);
    DeviceAccount account;
    const auto stage = make_stage(*arena_, {.type = Type::None}, setup(account));
    expected_ = testing::denoise(rig(), *stage).cpu();
    ASSERT_FALSE(expected_.isnan().any().item<bool>());
  }
  NodeArena& arena() { return *arena_; }
  const at::Tensor& expected() const { return expected_; }
  testing::DitRig rig() {
    return {.device = &device(), .groups = size() == 1 ? nullptr : &groups(), .exchange = &exchange()};
  }
  StageSetup setup(DeviceAccount& account) {
    return {.device = &device(),
            .account = &account,
            .peers = world_peers(session()),
            .weights = groups().weights.get(),
            .gather = on_gpu() || own_gather_ ? nullptr : &session().comm(),
            .poison = true,
            .trace = trace_};
  }
  std::unique_ptr<StageWeights> make(DeviceAccount& account, const AsyncPlan& plan, int prefetch = 1,
                                     double link_gbps = 0) {
    const Options options{.type = Type::Async, .prefetch_size = prefetch, .link_gbps = link_gbps};
    AsyncPlan planned = plan;
    planned.residency = plan_residency("dit", 7, options);
    const StageSetup where = setup(account);
    return std::make_unique<StageWeights>(
        *arena_, where, std::make_unique<Async>(*arena_, options, where, std::move(planned)));
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
  void gather_in_own_stream(bool own) { own_gather_ = own; }
  void trace_into(Trace* trace) { trace_ = trace; }

 private:
  std::unique_ptr<NodeArena> arena_;
  at::Tensor expected_;
  bool own_gather_ = false;
  Trace* trace_ = nullptr;
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
            << share << " " << prefetch << " " << groups().weights->backend();
      }
    }
  }
}

TEST_F(SharesOfCopies, UnevenPartsGiveTheSameBits) {
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    for (const double share : {0.25, 1.0}) {
      const AsyncPlan plan{.sharing = {.share = share, .weights = uneven()}, .slice_bytes = kSmallSlice};
      EXPECT_TRUE(same_bits(latent(plan, 2), expected())) << share << " " << groups().weights->backend();
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

double now_us() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(since).count();
}

// Of two exchanges that were announced the second lets gathers go on, and so does one that was not.  Where
// this thread was away for so long that a gate opened by itself, nothing can be said.
TEST_F(SharesOfCopies, GathersLeaveTheWayToExchanges) {
  if (size() == 1) GTEST_SKIP() << "nothing is gathered";
  use(ExchangeBy::Copy);
  gather_in_own_stream(true);
  Trace trace(device());
  trace_into(&trace);
  DeviceAccount account;
  const auto stage = make(account, {.sharing = {.share = 1}, .slice_bytes = kSmallSlice});
  auto& async = dynamic_cast<Async&>(stage->strategy());
  parallel::ExchangeGate& gate = *stage->exchange_gate();
  const auto other = device().make_stream("exchange", Priority::High);
  std::atomic<int> begun = 0;
  std::vector<double> closed_us;
  const auto exchange = [&](int index) {
    const parallel::GatedExchange gated(&gate, *other);
    const TraceScope span(&trace, Lane::Exchange, "exchange", *other, index);
    other->call([&begun] {
      ++begun;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
  };
  stage->prepare();
  async.begin({});
  for (int block = 0; block < 2; ++block) {
    async.acquire_block(block);
    closed_us.push_back(now_us());
    gate.soon(device().compute(), 2);
    device().compute().synchronize();
    async.release_block(block);  // the gather of block + 2 is queued
    exchange(2 * block);
    exchange(2 * block + 1);
    other->synchronize();
  }
  async.acquire_block(2);
  closed_us.push_back(now_us());
  exchange(4);
  while (begun < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  async.release_block(2);
  async.acquire_block(3);
  async.acquire_block(4);
  stage->finish();
  std::map<std::string, double> ends;
  for (const TraceSpan& span : trace.spans()) ends[span.name] = span.end_us;
  const double patience_us = std::chrono::duration<double, std::micro>(kGatePatience).count();
  for (std::size_t i = 0; i < closed_us.size(); ++i) {
    const double opened_us = ends.at("exchange " + std::to_string(i == 2 ? 4 : 2 * i + 1));
    if (opened_us - closed_us[i] > patience_us) continue;
    EXPECT_GE(ends.at("gather " + std::to_string(i + 2)), opened_us);
  }
}

// Long beside kGatePatience, and shorter than what makes a rank give up.
constexpr std::chrono::seconds kLong{30};

// A rank may be kept from its exchange until what the others gather has come: loading a kernel, or giving
// memory back, waits for all streams.
TEST_F(SharesOfCopies, AClosedWayIsOpenedWhereNobodyGoesOn) {
  if (size() == 1) GTEST_SKIP() << "nothing is gathered";
  use(ExchangeBy::Copy);
  gather_in_own_stream(true);
  DeviceAccount account;
  const auto stage = make(account, {.sharing = {.share = 1}, .slice_bytes = kSmallSlice});
  auto& async = dynamic_cast<Async&>(stage->strategy());
  parallel::ExchangeGate& gate = *stage->exchange_gate();
  const auto other = device().make_stream("exchange", Priority::High);
  stage->prepare();
  async.begin({});
  async.acquire_block(0);
  async.release_block(0);
  async.acquire_block(1);
  if (rank() != 0) gate.soon(device().compute(), 1);
  device().compute().synchronize();
  async.release_block(1);  // the gather of block 3 is queued, behind the closed gate
  if (rank() == 0) {
    async.acquire_block(2);
    async.acquire_block(3);  // of which the others have parts
  }
  device().compute().synchronize();
  auto all_went_on = std::async(std::launch::async, [this] { return session().all_agree(true); });
  EXPECT_TRUE(all_went_on.wait_for(kLong) == std::future_status::ready) << "the way stayed closed";
  if (rank() != 0) {
    const parallel::GatedExchange gated(&gate, *other);
    other->synchronize();
  }
  EXPECT_TRUE(all_went_on.get());
  stage->finish();
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
  auto stage = make_stage(arena(), {.type = Type::None}, setup(account));
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
          << first << " " << groups().weights->backend();
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
