// The way of exchanges where weights are gathered by copies, which go by the same engine
// (offload/async/async.h). A gate opens by itself when it has been closed for long, so what a busy machine
// was late for is tried again.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/stream_gate.h"
#include "offload/arena/pin_order.h"
#include "tests/mpi/shares_fixture.h"

namespace ferry::offload {
namespace {

constexpr int kRounds = 20;

// When the way was closed three times, by system_clock, and what became of the gathers behind.
struct Closings {
  std::array<double, 3> closed_us{};
  std::map<std::string, double> ends_us;  // of exchanges and gathers
  // Where this thread was not away for so long that the gate opened by itself.
  bool in_time(std::size_t i) const {
    return opened_us(i) - closed_us[i] < std::chrono::duration<double, std::micro>(kGateTimeout).count();
  }
  double opened_us(std::size_t i) const {
    return ends_us.at("exchange " + std::to_string(i == 2 ? 4 : 2 * i + 1));
  }
  double gathered_us(std::size_t i) const { return ends_us.at("gather " + std::to_string(i + 2)); }
};

double now_us() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(since).count();
}

class WayOfExchanges : public testing::SharesTest {
 protected:
  void SetUp() override {
    SharesTest::SetUp();
    if (!has_device()) return;
    if (size() == 1) GTEST_SKIP() << "nothing is gathered";
    use(parallel::ExchangeBy::Copy);
    gather_in_own_stream(true);
    other_ = device().make_stream("exchange", Priority::High);
  }
  std::unique_ptr<StageWeights> begin(DeviceAccount& account) {
    auto stage = make(account, {.sharing = {.share = 1}, .slice_bytes = testing::kSmallSlice});
    stage->prepare();
    async_of(*stage).begin({});
    return stage;
  }
  std::unique_ptr<StageWeights> begin_block_1(DeviceAccount& account) {
    auto stage = begin(account);
    Async& async = async_of(*stage);
    async.acquire_block(0);
    async.release_block(0);
    async.acquire_block(1);
    return stage;
  }
  static Async& async_of(StageWeights& stage) { return dynamic_cast<Async&>(stage.strategy()); }
  Stream& other() { return *other_; }
  void exchange(StageWeights& stage, Trace* trace, int index, std::function<void()> work) {
    parallel::gated_exchange(stage.exchange_gate(), other(), [&] {
      const TraceScope span(trace, Lane::Exchange, "exchange", other(), index);
      other().call(std::move(work));
    });
  }
  // Two exchanges of blocks 0 and 1 are announced, block 2's is not.
  Closings close_three_times() {
    Closings found;
    Trace trace(device());
    trace_into(&trace);
    DeviceAccount account;
    const auto stage = begin(account);
    Async& async = async_of(*stage);
    std::atomic<int> begun = 0;
    const auto work = [&begun] {
      ++begun;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    };
    for (int block = 0; block < 2; ++block) {
      async.acquire_block(block);
      found.closed_us.at(static_cast<std::size_t>(block)) = now_us();
      stage->exchange_gate()->soon(device().compute(), 2);
      device().compute().synchronize();
      async.release_block(block);  // the gather of block + 2 is queued
      exchange(*stage, &trace, 2 * block, work);
      exchange(*stage, &trace, 2 * block + 1, work);
      other().synchronize();
    }
    async.acquire_block(2);
    found.closed_us[2] = now_us();
    exchange(*stage, &trace, 4, work);
    while (begun < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    async.release_block(2);
    async.acquire_block(3);
    async.acquire_block(4);
    stage->finish();
    for (const TraceSpan& span : trace.spans()) found.ends_us[span.name] = span.end_us;
    trace_into(nullptr);
    return found;
  }
  // From when the next exchange is announced, behind which the gather of block 3 is queued, until that is
  // there; then the exchange.
  Clock::duration gathered_after_soon() {
    DeviceAccount account;
    const auto stage = begin_block_1(account);
    Async& async = async_of(*stage);
    static_cast<void>(session().all_agree(true));
    const Clock::time_point begun = Clock::now();
    stage->exchange_gate()->soon(device().compute(), 1);
    device().compute().synchronize();
    async.release_block(1);
    async.acquire_block(2);
    async.acquire_block(3);
    device().compute().synchronize();
    const Clock::duration took = Clock::now() - begun;
    exchange(*stage, nullptr, 0, [] {});
    other().synchronize();
    stage->finish();
    return took;
  }

 private:
  std::unique_ptr<Stream> other_;
};

// Of two exchanges that were announced the second lets gathers go on, and so does one that was not.
TEST_F(WayOfExchanges, IsLeftToThemByGathers) {
  std::array<bool, 3> judged{};
  bool all = false;
  for (int round = 0; round < kRounds && !all; ++round) {
    const Closings found = close_three_times();
    for (std::size_t i = 0; i < judged.size(); ++i) {
      if (!found.in_time(i)) continue;
      EXPECT_GE(found.gathered_us(i), found.opened_us(i)) << i;
      judged[i] = true;
    }
    all = session().all_agree(judged[0] && judged[1] && judged[2]);
  }
  EXPECT_TRUE(all) << "the machine is too busy";
}

// One that page-locks may be kept from its exchange until the others' gathers are through.
TEST_F(WayOfExchanges, StaysOpenWhileARankOfTheNodePageLocks) {
  PinLocks locks(arena().data() + arena().bytes());
  if (rank() == 0) locks.begin();
  bool at_once = false;
  for (int round = 0; round < kRounds && !at_once; ++round) {
    at_once = session().all_agree(gathered_after_soon() < kGateTimeout);
  }
  EXPECT_TRUE(at_once) << "gathers wait, or the machine is too busy";
  if (rank() == 0) locks.end();
}

// Long beside kGateTimeout, and shorter than what makes a rank give up.
constexpr std::chrono::seconds kLong{30};

// A rank may be kept from its exchange until what the others gather has come: loading a kernel, or giving
// memory back, waits for all streams.
TEST_F(WayOfExchanges, IsOpenedWhereNobodyGoesOn) {
  DeviceAccount account;
  const auto stage = begin_block_1(account);
  Async& async = async_of(*stage);
  const Clock::time_point before = Clock::now();
  static_cast<void>(session().all_agree(true));
  if (rank() != 0) stage->exchange_gate()->soon(device().compute(), 1);
  device().compute().synchronize();
  async.release_block(1);  // the gather of block 3 is queued, behind the closed gate
  if (rank() == 0) {
    async.acquire_block(2);
    async.acquire_block(3);  // of which the others have parts
  }
  device().compute().synchronize();
  EXPECT_TRUE(rank() != 0 || Clock::now() - before >= kGateTimeout / 2) << "the way was never closed";
  auto all_went_on = std::async(std::launch::async, [this] { return session().all_agree(true); });
  EXPECT_TRUE(all_went_on.wait_for(kLong) == std::future_status::ready) << "the way stayed closed";
  if (rank() != 0) exchange(*stage, nullptr, 0, [] {});
  other().synchronize();
  EXPECT_TRUE(all_went_on.get());
  stage->finish();
}

}  // namespace
}  // namespace ferry::offload
