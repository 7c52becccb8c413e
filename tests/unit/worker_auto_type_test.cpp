// What offload type auto chooses from rates: each way that fits, predicted by itself, against the choice.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "base/error.h"
#include "worker/planner/planner.h"
#include "worker/planner/predict.h"
#include "worker/planner/run_rates.h"

namespace ferry::worker {
namespace {

using offload::StrategyKind;
using ::testing::HasSubstr;

constexpr double kGiB = offload::kGiB;
constexpr int kLayers = 40;

// The built-in rates of H100, with links of another speed in GB/s.
MachineRates h100(double link_gbps = 0) {
  MachineRates machine = load_machine("h100");
  for (RankRates& each : machine.by_ranks) {
    if (link_gbps > 0) each.link_gbps.value = link_gbps;
  }
  return machine;
}

Cell wan14b(int ranks, std::int64_t frames, StrategyKind type = StrategyKind::Auto) {
  Cell cell;
  cell.dit = {.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = kLayers};
  cell.guided = false;
  cell.ranks = ranks;
  cell.frames = frames;
  cell.offload.type = type;
  return cell;
}

Cell with_memory(Cell cell, double gib) {
  cell.device_bytes = offload::limit_bytes(gib);
  return cell;
}

Cell ferried(Cell cell, int blocks, int prefetch) {
  cell.offload.type = StrategyKind::Async;
  cell.offload.offload_ratio = static_cast<double>(blocks) / kLayers;
  cell.offload.prefetch_size = prefetch;
  return cell;
}

int ferried_blocks(const Prediction& p) { return static_cast<int>(std::lround(p.offload_ratio * kLayers)); }

// Every type by itself with what it ferries: none, async with each number of blocks and depth, sequential.
std::vector<std::pair<int, Cell>> cells_by_hand(const Cell& cell) {
  std::vector<std::pair<int, Cell>> cells;
  cells.emplace_back(0, cell).second.offload.type = StrategyKind::None;
  for (int blocks = 1; blocks <= kLayers; ++blocks) {
    for (const int prefetch : {1, 2}) cells.emplace_back(blocks, ferried(cell, blocks, prefetch));
  }
  cells.emplace_back(kLayers + 1, cell).second.offload.type = StrategyKind::Sequential;
  return cells;
}

// A plan takes milliseconds.
Prediction predicted(const Cell& cell, const MachineRates& machine) {
  static std::map<std::tuple<StrategyKind, double, int, int>, offload::StagePlan> plans;
  const offload::Options& o = cell.offload;
  const auto [plan, is_new] = plans.try_emplace({o.type, o.offload_ratio, o.prefetch_size, cell.ranks});
  if (is_new) plan->second = stage_plan(cell);
  return predict(cell, machine, plan->second);
}

bool fits(const Prediction& p, double gib) {
  const double usable = 0.95 * gib * kGiB;
  return static_cast<double>(p.gpu_bytes + p.activation_bytes) <= usable;
}

void expect_best(const Cell& cell, double gib, const MachineRates& machine, const std::string& what) {
  const Prediction chosen = predicted(with_memory(cell, gib), machine);
  double best = 1e9;
  std::vector<std::tuple<int, double>> others;
  for (const auto& [blocks, each] : cells_by_hand(cell)) {
    const Prediction p = predicted(each, machine);
    if (!fits(p, gib)) continue;
    best = std::min(best, p.step_s);
    others.emplace_back(blocks, p.step_s);
  }
  ASSERT_FALSE(others.empty()) << what;
  EXPECT_TRUE(fits(chosen, gib)) << what;
  EXPECT_LE(chosen.step_s, best * 1.005) << what;
  const int blocks = chosen.type == StrategyKind::Sequential ? kLayers + 1 : ferried_blocks(chosen);
  for (const auto& [fewer, step_s] : others)
    EXPECT_TRUE(fewer >= blocks || step_s > best * 1.005) << what << ": " << fewer << " blocks would do";
}

TEST(AutoType, IsTheFastestThatFitsAndFerriesLeast) {
  for (const int ranks : {1, 2, 4}) {
    for (const std::int64_t frames : {29, 81}) {
      for (const double link : {50.0, 12.0, 2.0}) {
        for (const double gib : {6.0, 9.0, 20.0, 28.0, 79.0}) {
          expect_best(wan14b(ranks, frames), gib, h100(link),
                      fmt::format("{} ranks, {} frames, {} GB/s, {} GiB", ranks, frames, link, gib));
        }
      }
    }
  }
}

TEST(AutoType, WhereComputingHidesCopiesTheStepIsThatOfResidentWeights) {
  const Prediction p = predict(with_memory(wan14b(1, 81), 20), h100());
  EXPECT_EQ(p.type, StrategyKind::Async);
  EXPECT_LT(p.offload_ratio, 1);
  EXPECT_LT(p.step_s, 1.01 * predict(wan14b(1, 81, StrategyKind::None), h100()).step_s);
}

TEST(AutoType, WhereItDoesNotAsManyBlocksAsFitAreResident) {
  const MachineRates slow = h100(5);
  const Prediction p = predict(with_memory(wan14b(1, 29), 20), slow);
  EXPECT_EQ(p.type, StrategyKind::Async);
  EXPECT_LT(p.offload_ratio, 0.6);
  EXPECT_LT(p.step_s, 0.7 * predict(ferried(wan14b(1, 29), kLayers, 1), slow).step_s);
  EXPECT_GT(p.exposed_copy_s, 0);
}

TEST(AutoType, IsSequentialWhereNoSlotsFit) {
  const Cell cell = wan14b(1, 29);
  const Prediction slots = predict(ferried(cell, kLayers, 1), h100());
  const double least = static_cast<double>(slots.gpu_bytes + slots.activation_bytes) / 0.95 / kGiB;
  EXPECT_EQ(predict(with_memory(cell, least - 0.01), h100()).type, StrategyKind::Sequential);
  EXPECT_EQ(predict(with_memory(cell, least + 0.01), h100()).type, StrategyKind::Async);
}

TEST(AutoType, IsNoneWhereEverythingFits) {
  for (const int ranks : {1, 2, 4})
    EXPECT_EQ(predict(with_memory(wan14b(ranks, 81), 79), h100()).type, StrategyKind::None);
}

// There weights are used in the host copy, whatever else the host has; vram_limit counts them all the same.
TEST(AutoType, IsNoneOnTheCpuUnlessALimitSaysOtherwise) {
  Cell cell = with_memory(wan14b(1, 29), 9);
  MachineRates machine = h100();
  EXPECT_EQ(predict(cell, machine).type, StrategyKind::Async);
  machine.gpu = false;
  EXPECT_EQ(predict(cell, machine).type, StrategyKind::None);
  cell.offload.vram_limit = 9;
  EXPECT_EQ(predict(cell, machine).type, StrategyKind::Async);
}

TEST(AutoType, RatesOfAnotherTypeDecideNothing) {
  Cell cell = wan14b(1, 29);
  const offload::StagePlan plan = stage_plan(cell);
  EXPECT_EQ(forecast(cell, h100(), plan).step_s.size(), plan.ways.size());
  EXPECT_EQ(forecast(cell, h100(), plan).source, "rates of h100");
  cell.compute = DType::F32;
  EXPECT_TRUE(forecast(cell, h100(), plan).step_s.empty());
  EXPECT_EQ(forecast(cell, h100(), plan).source, "rates of h100 are for bf16, not fp32");
}

// What a run decides, with the room that it finds, and what `ferry plan` does.
TEST(AutoType, APlanHasTheChoiceOfARun) {
  const PlanRequest request{.width = 832, .height = 480, .frames = 29, .guidance = 1, .vram_gib = 20};
  const Plans plans = make_plans(model_shapes("14B"), request, h100());
  Cell cell = wan14b(1, 29);
  const offload::StagePlan plan = stage_plan(cell);
  const Prediction p = predict(with_memory(cell, 20), h100());
  const std::size_t room = room_for_weights(plan, offload::limit_bytes(20), p.activation_bytes);
  const offload::StagePlan chosen = decided(plan, {.bytes = room}, forecast(cell, h100(), plan));
  EXPECT_TRUE(std::ranges::any_of(plans.all, [&](const Plan& each) {
    return each.step.type == chosen.kind && each.step.gpu_bytes == chosen.need.bytes &&
           each.step.step_s == chosen.predicted_step_s;
  })) << chosen.why;
  EXPECT_GT(chosen.residency.resident.size(), 10U);
}

TEST(RunRates, AreTheGivenOnesOrBuiltInForTheGpu) {
  EXPECT_EQ(find_rates("auto", "NVIDIA H100 80GB HBM3", true).machine.value().name, "h100");
  EXPECT_EQ(find_rates("auto", "NVIDIA H200", true).machine.value().name, "h200");
  EXPECT_EQ(find_rates("pcie", "another GPU", true).machine.value().name, "pcie");
  for (const char* device : {"cpu", "another GPU"}) {
    const RunRates none = find_rates("auto", device, device[0] == 'a');
    EXPECT_FALSE(none.machine.has_value());
    EXPECT_EQ(none.why_none, "no rates of this machine");
  }
  EXPECT_EQ(find_rates("none", "NVIDIA H200", true).why_none, "run.machine is none");
}

TEST(RunRates, OfAnotherKindOfDeviceAreRefused) {
  try {
    find_rates("h100", "cpu", false);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "run.machine h100: its rates are those of NVIDIA H100 80GB HBM3; this run computes on cpu");
  }
  EXPECT_THROW(find_rates("no such file", "cpu", false), UserError);
}

}  // namespace
}  // namespace ferry::worker
