// parallel/exchange.h on real ranks, on the CPU and on GPUs.
#include "parallel/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <stdexcept>
#include <utility>
#include <vector>

#include "parallel/ulysses.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::parallel {
namespace {

constexpr std::int64_t kDim = 3;  // elements of a head
constexpr int kLayers = 2;
constexpr float kUntouched = -1;

class CountingGate final : public ExchangeGate {
 public:
  void soon(Stream&, int exchanges) override { announced += exchanges; }
  void before(Stream&) override { ++begun; }
  void after(Stream&) override { ++ended; }
  int announced = 0, begun = 0, ended = 0;
};

// Queues work behind each exchange that takes until `through`, as a gather does that waits for weights.
class BusyGate final : public ExchangeGate {
 public:
  explicit BusyGate(std::shared_future<void> through) : through_(std::move(through)) {}
  void before(Stream&) override {}
  void after(Stream& stream) override {
    stream.call([this] {
      through_.wait_for(std::chrono::seconds(10));
      over = true;
    });
  }
  std::atomic<bool> over = false;

 private:
  std::shared_future<void> through_;
};

class ExchangeTest : public ferry::testing::DeviceRanksTest {
 protected:
  // One exchange's element of a token's head.
  static float cell(ExchangeSlot slot, std::size_t branch, std::int64_t token, std::int64_t element) {
    return static_cast<float>(static_cast<int>(slot) * 1000003 + static_cast<int>(branch) * 500009 +
                              token * 1009 + element);
  }
  std::int64_t element_count(const HeadSplit& split, int of) const { return split.of(of).count * kDim; }

  // [s, H, D] packed: the piece of each rank's heads after the other.
  std::vector<float> packed(const HeadSplit& split, ExchangeSlot slot, std::size_t branch) const {
    std::vector<float> all;
    for (int r = 0; r < size(); ++r) {
      for (std::int64_t i = 0; i < kTokens; ++i) {
        for (std::int64_t e = 0; e < element_count(split, r); ++e) {
          all.push_back(cell(slot, branch, rank() * kTokens + i, split.of(r).begin * kDim + e));
        }
      }
    }
    return all;
  }
  // [S, this rank's heads, D], the tokens of the ranks in this order.
  std::vector<float> heads(const HeadSplit& split, ExchangeSlot slot, std::size_t branch,
                           const std::vector<int>& order) const {
    std::vector<float> all;
    for (const int r : order) {
      for (std::int64_t i = 0; i < kTokens; ++i) {
        for (std::int64_t e = 0; e < element_count(split, rank()); ++e) {
          all.push_back(cell(slot, branch, r * kTokens + i, split.of(rank()).begin * kDim + e));
        }
      }
    }
    return all;
  }
  // 0, 1, 2, ... and the same from this rank's successor on, so that its own come last.
  std::vector<int> ranks_from(int first) const {
    std::vector<int> order;
    for (int i = 0; i < size(); ++i) order.push_back((first + i) % size());
    return order;
  }
  DeviceMemory up(const std::vector<float>& values) {
    DeviceMemory memory = device().allocate(values.size() * sizeof(float));
    device().compute().copy(memory.data(), values.data(), memory.bytes());
    device().compute().synchronize();
    return memory;
  }
  DeviceMemory untouched(std::size_t count) { return up(std::vector<float>(count, kUntouched)); }
  std::vector<float> down(const DeviceMemory& memory) {
    std::vector<float> values(memory.bytes() / sizeof(float));
    device().compute().copy(values.data(), memory.data(), memory.bytes());
    device().compute().synchronize();
    return values;
  }
  void there_and_back(HeadExchange& exchange, const HeadSplit& split, std::size_t branches);

  static constexpr std::int64_t kTokens = 5;  // of a rank
};

void ExchangeTest::there_and_back(HeadExchange& exchange, const HeadSplit& split, std::size_t branches) {
  constexpr std::array kThere = {ExchangeSlot::Value, ExchangeSlot::Key, ExchangeSlot::Query};
  const auto token_bytes = static_cast<std::size_t>(kTokens * split.heads() * kDim) * sizeof(float);
  const auto received = static_cast<std::size_t>(size() * kTokens * element_count(split, rank()));
  std::vector<DeviceMemory> sent, got, back;
  for (std::size_t branch = 0; branch < branches; ++branch) {
    for (const ExchangeSlot slot : kThere) {
      sent.push_back(up(packed(split, slot, branch)));
      got.push_back(untouched(received));
      exchange.start(slot, branch, got.back().data(), sent.back().data(), token_bytes);
    }
  }
  for (std::size_t branch = 0; branch < branches; ++branch) {
    for (std::size_t i = 0; i < kThere.size(); ++i) {
      exchange.finish(kThere[i], branch);
      const int first = kThere[i] == ExchangeSlot::Query ? rank() + 1 : 0;
      EXPECT_EQ(down(got[branch * kThere.size() + i]), heads(split, kThere[i], branch, ranks_from(first)))
          << "exchange " << i;
    }
    // The queries as they came.
    back.push_back(untouched(token_bytes / sizeof(float)));
    exchange.start(ExchangeSlot::Back, branch, back.back().data(), got[branch * kThere.size() + 2].data(),
                   token_bytes);
  }
  for (std::size_t branch = 0; branch < branches; ++branch) {
    exchange.finish(ExchangeSlot::Back, branch);
    std::vector<float> expected = packed(split, ExchangeSlot::Query, branch);
    const auto own = expected.begin() + kTokens * split.of(rank()).begin * kDim;
    std::fill(own, own + kTokens * element_count(split, rank()), kUntouched);
    EXPECT_EQ(down(back[branch]), expected) << "branch " << branch;
  }
}

TEST_F(ExchangeTest, HeadsComeFromEveryRankAndGoBackOnEitherStream) {
  for (const std::int64_t heads : {5, 8}) {
    const HeadSplit split(heads, size());
    for (Stream* stream : {static_cast<Stream*>(nullptr), &exchange()}) {
      CountingGate gate;
      HeadExchange trade(
          {.device = &device(), .group = groups().ulysses.get(), .stream = stream, .gate = &gate}, heads,
          kLayers);
      for (const std::size_t branches : {1, 2}) {
        trade.begin_pass(branches);
        for (int block = 0; block < kLayers; ++block) {
          trade.enter(block);
          trade.soon(3);
          there_and_back(trade, split, branches);
        }
      }
      EXPECT_EQ(gate.announced, 2 * kLayers * 3);
      EXPECT_EQ(gate.begun, kLayers * (1 + 2) * 4);
      EXPECT_EQ(gate.ended, gate.begun);
      EXPECT_EQ(trade.waits().ms_by_place.size(), static_cast<std::size_t>(kLayers + 1));
    }
  }
}

// On the CPU, where gathers of weights and exchanges are one stream's.
TEST_F(ExchangeTest, WhatAGateQueuesBehindAnExchangeIsNotWaitedFor) {
  if (device().type() != DeviceType::Cpu) GTEST_SKIP() << "gathers have a stream of their own on a GPU";
  std::promise<void> through;
  BusyGate gate(through.get_future().share());
  HeadExchange trade(
      {.device = &device(), .group = groups().ulysses.get(), .stream = &exchange(), .gate = &gate}, size(),
      kLayers);
  trade.begin_pass(1);
  const std::size_t bytes = static_cast<std::size_t>(size()) * sizeof(float);
  const DeviceMemory sent = up(std::vector<float>(static_cast<std::size_t>(size()), 1));
  const DeviceMemory got = untouched(static_cast<std::size_t>(size()));
  trade.start(ExchangeSlot::Value, 0, got.data(), sent.data(), bytes);
  trade.finish(ExchangeSlot::Value, 0);
  EXPECT_FALSE(gate.over);
  EXPECT_EQ(down(got), std::vector<float>(static_cast<std::size_t>(size()), 1));
  through.set_value();
  exchange().synchronize();
}

TEST_F(ExchangeTest, TheResultIsGatheredByRank) {
  HeadExchange trade({.device = &device(), .group = groups().ulysses.get(), .stream = &exchange()}, 8,
                     kLayers);
  trade.begin_pass(1);
  const std::size_t count = 7;
  const DeviceMemory mine = up(std::vector<float>(count, static_cast<float>(rank())));
  const DeviceMemory all = untouched(count * static_cast<std::size_t>(size()));
  trade.gather(all.data(), mine.data(), mine.bytes());
  std::vector<float> expected;
  for (int r = 0; r < size(); ++r) expected.insert(expected.end(), count, static_cast<float>(r));
  EXPECT_EQ(down(all), expected);
}

TEST_F(ExchangeTest, WhatCannotBeExchangedIsRefused) {
  EXPECT_THROW(HeadExchange({.device = &device()}, 8, kLayers), std::invalid_argument);
  EXPECT_THROW(HeadExchange({.group = groups().ulysses.get()}, 8, kLayers), std::invalid_argument);
  EXPECT_THROW(HeadExchange({.device = &device(), .group = groups().ulysses.get()}, size() - 1, kLayers),
               std::invalid_argument);
}

}  // namespace
}  // namespace ferry::parallel
