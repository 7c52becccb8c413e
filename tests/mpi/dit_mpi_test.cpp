// P ranks give what one rank gives: the DiT over a Ulysses group, on real ranks and the devices of the
// program.
//
// Tolerances.  fp32: attention and rows are the same sums, only GEMMs with another number of rows may add up
// in another order, on a GPU too (LibTorch leaves TF32 off): 1e-6 for one forward.  bf16: such a difference
// flips last bits (2^-9) of single values, and three blocks carry them on: 1e-2, the tolerance of wan21.md
// section 15 for a whole model.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "parallel/exchange_gate.h"
#include "tests/support/dit_ranks_fixture.h"

namespace ferry::testing {
namespace {

using model::Dit;
using model::DitConfig;
using model::DitContext;
using model::DitRuntime;

class DitRanks : public DitRanksTest {
 protected:
  // Two branches, forwarded twice (the second time with cached keys and values); the second results.
  std::vector<at::Tensor> run(const DitConfig& config, PlainWeights& weights, const DitRuntime& runtime,
                              const at::Tensor& latent) {
    Dit dit(config, weights, runtime);
    DitContext positive = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
    DitContext negative = dit.encode_context(golden_input({config.text_len, config.text_dim}, 0.7, 0.03));
    DitContext* branches[] = {&positive, &negative};
    const auto first = dit.forward(latent, 733, branches);
    const auto second = dit.forward(latent, 733, branches);
    EXPECT_TRUE(at::equal(first[0], second[0]));
    EXPECT_TRUE(at::equal(first[1], second[1]));
    return second;
  }
};

struct Case {
  std::int64_t head_dim;
  std::vector<std::int64_t> latent;  // F, h, w
};

// 105, 6, 27 and 1 tokens: none of them a multiple of 4, and with one some ranks have none of their own.
// The attention kernels of GPUs take multiples of 8.
const std::vector<Case> kCases = {
    {24, {3, 10, 14}}, {48, {2, 2, 6}}, {128, {3, 6, 6}}, {40, {1, 2, 2}}, {34, {1, 2, 2}}};

TEST_F(DitRanks, GiveWhatOneRankGives) {
  for (const auto& [compute, tolerance] : {std::pair{DType::F32, 1e-6}, std::pair{DType::BF16, 1e-2}}) {
    for (const Case& c : kCases) {
      if (on_gpu() && c.head_dim % 8 != 0) continue;
      const DitConfig config = four_head_config(c.head_dim);
      const at::Tensor latent = latent_of(c.latent[0], c.latent[1], c.latent[2]);
      const auto weights = weights_of(config, compute);
      const auto one = run(config, *weights, alone(compute), latent);
      const auto all = run(config, *weights, together(compute), latent);
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_LE(relative_l2(all[i], one[i]), tolerance) << "head_dim " << c.head_dim << " branch " << i;
      }
    }
  }
}

TEST_F(DitRanks, CopiesAndMessagesGiveTheSameBits) {
  const DitConfig config = four_head_config();
  const at::Tensor latent = latent_of(3, 10, 14);
  const auto weights = weights_of(config, DType::BF16);
  std::vector<std::vector<at::Tensor>> results;
  for (const auto by : {parallel::ExchangeBy::Nccl, parallel::ExchangeBy::Copy}) {
    use(by);
    results.push_back(run(config, *weights, together(DType::BF16), latent));
    const bool copies = groups().ulysses->backend().find("cop") != std::string::npos;
    EXPECT_EQ(copies, by == parallel::ExchangeBy::Copy && size() > 1);
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
}

TEST_F(DitRanks, EveryRankHasTheSameBits) {
  const DitConfig config = four_head_config();
  const auto weights = weights_of(config, DType::F32);
  const at::Tensor latent = latent_of(3, 10, 14);
  const at::Tensor mine = run(config, *weights, together(DType::F32), latent)[0];
  at::Tensor of_rank_0 = mine.clone();
  groups().ulysses->broadcast(of_rank_0.data_ptr(), of_rank_0.nbytes(), 0, device().compute());
  EXPECT_TRUE(at::equal(mine, of_rank_0));
}

TEST_F(DitRanks, PairedEqualsSerialBitForBit) {
  const DitConfig config = four_head_config();
  const at::Tensor latent = latent_of(3, 10, 14);
  const auto weights = weights_of(config, DType::F32);
  Dit dit(config, *weights, together(DType::F32));
  DitContext positive = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
  DitContext negative = dit.encode_context(golden_input({9, config.text_dim}, 0.7, 0.03));
  DitContext* both[] = {&positive, &negative};
  const auto paired = dit.forward(latent, 500, both);
  for (std::size_t i = 0; i < 2; ++i) {
    DitContext* one[] = {both[i]};
    EXPECT_TRUE(at::equal(dit.forward(latent, 500, one)[0], paired[i]));
  }
}

TEST_F(DitRanks, ExchangesOnTheComputeStreamWhenThereIsNoOther) {
  const DitConfig config = four_head_config();
  const at::Tensor latent = latent_of(3, 10, 14);
  const auto weights = weights_of(config, DType::F32);
  DitRuntime runtime = together(DType::F32);
  const auto apart = run(config, *weights, runtime, latent);
  runtime.exchange_stream = nullptr;
  EXPECT_TRUE(at::equal(run(config, *weights, runtime, latent)[0], apart[0]));
}

class CountingGate : public parallel::ExchangeGate {
 public:
  void soon(Stream&, int exchanges) override {
    EXPECT_EQ(opened % 4, 0);
    announced += exchanges;
  }
  void before(Stream&) override { ++opened; }
  void after(Stream&) override { ++closed; }
  int announced = 0;
  int opened = 0;
  int closed = 0;
};

TEST_F(DitRanks, EachExchangeIsToldToTheGate) {
  const DitConfig config = four_head_config();
  const auto weights = weights_of(config, DType::F32);
  CountingGate gate;
  DitRuntime runtime = together(DType::F32);
  runtime.gate = &gate;
  Dit dit(config, *weights, runtime);
  DitContext context = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
  DitContext* branches[] = {&context};
  dit.forward(latent_of(1, 4, 6), 500, branches);
  const int exchanges =
      size() == 1 ? 0 : 3 * 4 + 1;  // v, q, k and back per block, and the gather of the result
  EXPECT_EQ(gate.opened, exchanges);
  EXPECT_EQ(gate.closed, exchanges);
  EXPECT_EQ(gate.announced, size() == 1 ? 0 : 3 * 3);  // v, q and k, before the first
}

// Its waits take time: each exchange comes `ms` late.
class SlowGate : public parallel::ExchangeGate {
 public:
  explicit SlowGate(int ms) : ms_(ms) {}
  void before(Stream& exchange_stream) override {
    exchange_stream.call([this] { std::this_thread::sleep_for(std::chrono::milliseconds(ms_)); });
  }
  void after(Stream&) override {}

 private:
  int ms_;
};

TEST_F(DitRanks, TheTraceNamesEveryPartOfAForward) {
  const DitConfig config = four_head_config();
  const auto weights = weights_of(config, DType::F32);
  const at::Tensor latent = latent_of(1, 4, 6);
  DitRuntime runtime = together(DType::F32);
  const auto untraced = run(config, *weights, runtime, latent);
  Trace trace(device());
  runtime.trace = &trace;
  EXPECT_TRUE(at::equal(run(config, *weights, runtime, latent)[0], untraced[0]));
  std::map<std::string, int> names;  // of two forwards of two branches
  for (const TraceSpan& span : trace.spans()) {
    EXPECT_EQ(span.lane == Lane::Exchange, span.name.starts_with("exchange")) << span.name;
    ++names[span.name];
  }
  std::map<std::string, int> expected = {
      {"embed text", 2}, {"embed patches", 2}, {"embed time", 2}, {"head", 2}};
  for (const char* block : {" 0", " 1", " 2"}) {
    // Block 0 attends once for all branches.  Of several ranks the branches send together and receive by
    // turns.
    const bool first = block[1] == '0';
    expected[std::string("attention") + block] = first ? 2 : size() == 1 ? 4 : 6;
    expected[std::string("cross-attention") + block] = expected[std::string("ffn") + block] = 4;
    if (size() == 1) continue;
    expected[std::string("exchange") + block] = expected[std::string("wait for exchange") + block] =
        4 * (first ? 2 : 4);
  }
  if (size() > 1) expected["exchange"] = expected["wait for exchange"] = 4;
  EXPECT_EQ(names, expected);
}

TEST_F(DitRanks, WaitsForExchangesAreMeasuredByForwardAndLayer) {
  const DitConfig config = four_head_config();
  const auto weights = weights_of(config, DType::F32);
  // NCCL connects the ranks at the first operation of each kind, and the host waits for that.
  run(config, *weights, together(DType::F32), latent_of(1, 4, 6));
  constexpr int kMs = 10;
  for (const bool own_stream : {true, false}) {
    // In line, the exchange itself is what computing waits for: it takes as long as the last rank is late.
    SlowGate gate(own_stream || rank() == size() - 1 ? kMs : 0);
    DitRuntime runtime = together(DType::F32);
    if (!own_stream) runtime.exchange_stream = nullptr;
    runtime.gate = &gate;
    Dit dit(config, *weights, runtime);
    DitContext context = dit.encode_context(golden_input({5, config.text_dim}, 0.2, 0.05));
    DitContext* branches[] = {&context};
    for (int i = 0; i < 2; ++i) dit.forward(latent_of(1, 4, 6), 500, branches);
    device().compute().synchronize();  // what is not over is not in the times
    const StreamTimes waits = dit.exchange_waits();
    if (size() == 1) {
      EXPECT_TRUE(waits.ms_by_pass.empty());
      continue;
    }
    ASSERT_EQ(waits.ms_by_pass.size(), 2U);
    ASSERT_EQ(waits.ms_by_place.size(), 4U) << "three layers and the gather";
    if (!own_stream) {
      if (rank() == 0) {
        EXPECT_GT(waits.ms, 0.5 * kMs * 2 * (3 * 4 + 1));
      }
      continue;
    }
    // Of four exchanges only the first has anything to hide behind, and that is a small projection.
    for (int layer = 0; layer < 3; ++layer)
      EXPECT_GT(waits.ms_by_place[static_cast<std::size_t>(layer)], 3 * kMs) << layer;
    EXPECT_GT(waits.ms_by_place[3], 0.9 * kMs);
    EXPECT_LT(waits.ms_by_place[3], 4 * kMs + 200);
    for (const double pass : waits.ms_by_pass) EXPECT_GT(pass, (3 * 3 + 0.9) * kMs);
  }
}

}  // namespace
}  // namespace ferry::testing
