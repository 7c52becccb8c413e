// The planner: its pipeline, its rates' files, and what it predicts from rates that a test makes up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "model/dit/spec.h"
#include "offload/plan.h"
#include "worker/planner/pipeline.h"
#include "worker/planner/plan_text.h"
#include "worker/planner/planner.h"
#include "worker/planner/predict.h"

namespace ferry::worker {
namespace {

using offload::StrategyKind;
using parallel::CfgMode;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Not;

std::string user_error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

PipelineCase even_blocks(int count, double compute_s, double copy_s) {
  return {.compute_s = std::vector<double>(static_cast<std::size_t>(count), compute_s),
          .ferried = std::vector<bool>(static_cast<std::size_t>(count), true),
          .copy_s = copy_s};
}

TEST(Pipeline, TakesTheLongerOfComputingAndCopying) {
  EXPECT_NEAR(steady_forward(even_blocks(8, 1.0, 0.5)).forward_s, 8, 1e-9);
  EXPECT_NEAR(steady_forward(even_blocks(8, 1.0, 1.5)).forward_s, 12, 1e-9);
  EXPECT_NEAR(steady_forward(even_blocks(8, 1.0, 1.5)).waits_s, 4, 1e-9);
}

TEST(Pipeline, OneSlotHidesNothing) {
  PipelineCase pipeline = even_blocks(8, 1.0, 0.5);
  pipeline.slots = 1;
  EXPECT_NEAR(steady_forward(pipeline).forward_s, 12, 1e-9);
}

TEST(Pipeline, ResidentBlocksGiveTheLinkTime) {
  PipelineCase pipeline = even_blocks(8, 1.0, 2.0);
  for (std::size_t i = 0; i < 8; i += 2) pipeline.ferried[i] = false;
  EXPECT_NEAR(steady_forward(pipeline).forward_s, 8, 1e-9);
}

TEST(Pipeline, AGatherBehindItsCopyAddsToTheFirstWaitOnly) {
  PipelineCase pipeline = even_blocks(8, 1.0, 0.5);
  pipeline.gather_s = 0.9;
  // Link and gathers each keep up; a block is there 1.4 after its copy began, half of it hidden by one slot.
  EXPECT_LT(steady_forward(pipeline).forward_s, 8 * 1.45);
  pipeline.together = true;
  EXPECT_NEAR(steady_forward(pipeline).forward_s, 8, 1e-9);
}

const MachineRates& h100() {
  static const MachineRates machine = load_machine("h100");
  return machine;
}

Cell wan14b() {
  Cell cell;
  cell.dit = {.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};
  cell.guided = false;
  return cell;
}

// docs/results/h100_fa3.jsonl: the forwards that the file's rates come from, with norms and gaps.
TEST(Predict, AForwardOf14BOnOneH100) {
  Cell cell = wan14b();
  EXPECT_NEAR(predict(cell, h100()).step_s, 2.551, 0.03);
  cell.frames = 29;
  EXPECT_NEAR(predict(cell, h100()).step_s, 0.688, 0.01);
}

// docs/results/four_h200_rows_fdc074a.jsonl, medians.
TEST(Predict, ForwardsOf14BOnFourH200) {
  const MachineRates machine = load_machine("h200");
  Cell cell = wan14b();
  cell.ranks = 4;
  EXPECT_NEAR(predict(cell, machine).step_s, 0.690, 0.02);
  cell.frames = 29;
  EXPECT_NEAR(predict(cell, machine).step_s, 0.181, 0.006);
  cell.offload.type = StrategyKind::Async;
  cell.offload.transport = offload::Transport::Sharded;
  EXPECT_NEAR(predict(cell, machine).step_s, 0.189, 0.010);
  cell.offload.transport = offload::Transport::Full;
  EXPECT_NEAR(predict(cell, machine).step_s, 0.508, 0.06);
}

TEST(Predict, MemoryIsThatOfTheStagesPlan) {
  Cell cell = wan14b();
  cell.ranks = 2;
  cell.offload.type = StrategyKind::Async;
  cell.offload.offload_ratio = 0.5;
  const Prediction prediction = predict(cell, h100());
  const offload::StagePlan plan = offload::make_plan(model::dit_spec(cell.dit, DType::BF16), cell.offload, 2);
  EXPECT_EQ(prediction.gpu_bytes, plan.need.bytes);
  EXPECT_EQ(prediction.node_bytes, plan.arena.layout.bytes);
  EXPECT_EQ(prediction.offload_ratio, 0.5);
}

// docs/results/h100.jsonl: bytes_per_step of each strategy.
TEST(Predict, FerriedBytesAreThoseOfARun) {
  Cell cell = wan14b();
  cell.offload.type = StrategyKind::Async;
  EXPECT_EQ(predict(cell, h100()).ferried_bytes, 23920517120U);
  cell.offload.type = StrategyKind::Sequential;
  EXPECT_EQ(predict(cell, h100()).ferried_bytes, 24661944576U);
}

TEST(Predict, TheStepIsWithinItsParts) {
  for (const StrategyKind type : {StrategyKind::None, StrategyKind::Async, StrategyKind::Sequential}) {
    for (const CfgMode cfg : {CfgMode::Serial, CfgMode::Paired, CfgMode::Parallel}) {
      for (const double link : {0.0, 20.0, 1.0}) {
        Cell cell = wan14b();
        cell.guided = true;
        cell.ranks = 4;
        cell.parallel.cfg = cfg;
        cell.offload.type = type;
        cell.offload.link_gbps = link;
        const Prediction p = predict(cell, h100());
        EXPECT_LE(p.compute_s, p.step_s);
        EXPECT_LE(p.step_s, p.compute_s + p.copy_s + p.exchange_s + 1e-9);
      }
    }
  }
}

TEST(Predict, CfgAutoIsWhatARunFinds) {
  Cell cell = wan14b();
  cell.guided = true;
  const auto cfg = [&](int ranks, double device_gib) {
    MachineRates other = h100();
    other.device_gib.value = device_gib;
    cell.ranks = ranks;
    return predict(cell, other).cfg;
  };
  cell.parallel.cfg = CfgMode::Auto;
  EXPECT_EQ(cfg(2, 139), CfgMode::Parallel);
  EXPECT_EQ(cfg(2, 28), CfgMode::Paired);  // in halves activations of a whole sequence would not fit
  EXPECT_EQ(cfg(4, 139), CfgMode::Paired);
  EXPECT_EQ(cfg(1, 139), CfgMode::Paired);
  cell.guided = false;
  EXPECT_EQ(cfg(2, 139), CfgMode::Paired);
}

TEST(Predict, PairedBranchesFerryHalfOfWhatSerialOnesDo) {
  Cell cell = wan14b();
  cell.guided = true;
  cell.offload.type = StrategyKind::Async;
  cell.parallel.cfg = CfgMode::Serial;
  const std::size_t serial = predict(cell, h100()).ferried_bytes;
  cell.parallel.cfg = CfgMode::Paired;
  EXPECT_EQ(2 * predict(cell, h100()).ferried_bytes, serial);
}

TEST(Predict, NamesTheAssumedAndFittedRatesItLeansOn) {
  Cell cell = wan14b();
  EXPECT_EQ(predict(cell, h100()).assumed, std::vector<std::string>());
  EXPECT_EQ(predict(cell, h100()).fitted, (std::vector<std::string>{"block_s", "pass_gbps"}));
  cell.ranks = 8;
  const std::vector<std::string> assumed = predict(cell, h100()).assumed;
  EXPECT_NE(std::ranges::find(assumed, "rates of 4 ranks"), assumed.end());
  EXPECT_NE(std::ranges::find(assumed, "linear"), assumed.end());
}

// What is hidden of an exchange over NVLink says nothing of a network.
TEST(Predict, BetweenNodesExchangesAreExposedAsTheNetworkSays) {
  MachineRates machine = h100();
  Cell cell = wan14b();
  cell.ranks = 4;
  const Prediction inside = predict(cell, machine);
  EXPECT_LT(inside.exposed_exchange_s, inside.exchange_s);
  cell.nodes = 2;
  const Prediction between = predict(cell, machine);
  EXPECT_GT(between.exchange_s, inside.exchange_s);
  EXPECT_DOUBLE_EQ(between.exposed_exchange_s, between.exchange_s);
  EXPECT_THAT(between.assumed, AllOf(Contains("network_exposed"), Contains("network_s")));
  EXPECT_THAT(between.assumed, Not(Contains("exchange_exposed")));
  EXPECT_THAT(between.assumed, Not(Contains("exchange_s")));
  machine.network_exposed = {.value = 0.25, .source = RateSource::Measured};
  const Prediction measured = predict(cell, machine);
  EXPECT_DOUBLE_EQ(measured.exposed_exchange_s, between.exchange_s / 4);
  EXPECT_THAT(measured.assumed, Not(Contains("network_exposed")));
  // Branches apart, each inside a node.
  cell.guided = true;
  cell.parallel.cfg = CfgMode::Parallel;
  EXPECT_EQ(predict(cell, machine).exposed_exchange_s, predict(cell, h100()).exposed_exchange_s);
}

TEST(Predict, RefusesMoreUlyssesRanksThanHeads) {
  Cell cell = wan14b();
  cell.ranks = 64;
  EXPECT_NE(user_error_of([&] { predict(cell, h100()); }).find("40 attention heads"), std::string::npos);
}

TEST(MachineFile, ReadsWhatItWrites) {
  const MachineRates again = machine_from_json(to_json(h100()), "again");
  EXPECT_EQ(to_json(again), to_json(h100()));
}

TEST(MachineFile, OfAnEarlierVersionHasAllOfANetworkExposed) {
  nlohmann::json json = nlohmann::json::parse(to_json(h100()));
  json["network_exposed"] = {{"value", 0.5}, {"source", "measured"}};
  EXPECT_EQ(machine_from_json(json.dump(), "file").network_exposed.value, 0.5);
  json.erase("network_exposed");
  const Rate rate = machine_from_json(json.dump(), "file").network_exposed;
  EXPECT_EQ(rate.value, 1);
  EXPECT_EQ(rate.source, RateSource::Assumed);
}

TEST(MachineFile, NamesTheFault) {
  const auto changed = [](const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json json = nlohmann::json::parse(to_json(h100()));
    change(json);
    return user_error_of([&] { machine_from_json(json.dump(), "file"); });
  };
  EXPECT_EQ(user_error_of([] { machine_from_json("{", "file"); }), "file: it is not JSON");
  EXPECT_EQ(changed([](auto& j) { j.erase("read_gbps"); }), "file: read_gbps is missing");
  EXPECT_EQ(changed([](auto& j) { j["by_ranks"][1]["link_gbps"]["value"] = 0; }),
            "file: by_ranks[1]: link_gbps is 0; it is a number from 1e-09 to 1000000000");
  EXPECT_EQ(changed([](auto& j) { j["device_gib"]["value"] = 1e30; }),
            "file: device_gib is 1e+30; it is a number from 1e-09 to 1000000000");
  EXPECT_EQ(changed([](auto& j) { j["by_ranks"][0]["copy_loss"]["value"] = -1; }),
            "file: by_ranks[0]: copy_loss is -1; it is a number from 0 to 1000000000");
  EXPECT_EQ(changed([](auto& j) { j["node_ranks"] = 1.5; }),
            "file: node_ranks is 1.5; it is a whole number from 1 to 1048576");
  EXPECT_EQ(changed([](auto& j) { j["by_ranks"][0]["linear"][0]["rows"] = ~std::uint64_t{0}; }),
            "file: by_ranks[0]: linear[0]: rows is 18446744073709551615; it is a whole number from 1 to "
            "1099511627776");
  EXPECT_EQ(changed([](auto& j) { j["by_ranks"][0]["threads"] = -1; }),
            "file: by_ranks[0]: threads is -1; it is a whole number from 0 to 1048576");
  EXPECT_EQ(changed([](auto& j) { j["name"] = "two\nlines"; }),
            "file: name is not one line of at most 200 bytes");
  EXPECT_EQ(changed([](auto& j) { j["dtype"] = "int4"; }), "file: dtype is 'int4'; accepted: bf16, fp32");
  EXPECT_EQ(changed([](auto& j) { j["gpu"] = 1; }), "file: gpu is of another type");
  EXPECT_EQ(changed([](auto& j) { j["init_s"]["source"] = "guess"; }),
            "file: init_s: the source is \"guess\"; accepted: measured, fitted, datasheet, assumed");
  EXPECT_EQ(changed([](auto& j) { j["by_ranks"] = 3; }), "file: by_ranks is no list, or an empty one");
  EXPECT_EQ(changed([](auto& j) { j["name"] = 3; }), "file: name is of another type");
  EXPECT_NE(user_error_of([] { load_machine("h300"); }).find("h100, h200, pcie"), std::string::npos);
}

TEST(Planner, EachBuiltInMachinePlansEachModel) {
  for (const std::string& name : builtin_machines()) {
    for (const char* model : {"1.3B", "14B", "A14B"}) {
      const Plans plans = make_plans(model_shapes(model), {.gpus = 2}, load_machine(name));
      EXPECT_TRUE(plans.all[plans.recommended].fits) << name << " " << model;
    }
  }
}

TEST(Planner, OffloadsWhereTheWeightsDoNotFit) {
  const ModelShapes model = model_shapes("14B");
  const Plans large = make_plans(model, {.gpus = 8}, h100());
  EXPECT_EQ(large.all[large.recommended].step.type, StrategyKind::None);
  const Plans small = make_plans(model, {.gpus = 8, .vram_gib = 24}, h100());
  const Plan& plan = small.all[small.recommended];
  EXPECT_EQ(plan.step.type, StrategyKind::Async);
  EXPECT_LE(plan.total_bytes, std::size_t{24} << 30);
}

TEST(Planner, ManyNodesAreDividedIntoVideos) {
  const Plans plans = make_plans(model_shapes("14B"), {.gpus = 512, .nodes = 64}, h100());
  const Plan& plan = plans.all[plans.recommended];
  const int cfg = plan.step.cfg == CfgMode::Parallel ? 2 : 1;
  EXPECT_EQ(plan.data * cfg * plan.step.ulysses, 512);
  EXPECT_LE(plan.step.ulysses, 40);
}

TEST(Planner, SaysWhatIsShortAndWhatWouldFit) {
  const ModelShapes model = model_shapes("14B");
  const auto refused = [&](const PlanRequest& request) {
    return user_error_of([&] { make_plans(model, request, h100()); });
  };
  const std::string gpu = refused({.vram_gib = 1});
  EXPECT_EQ(gpu.find("GPU memory: "), 0U) << gpu;
  EXPECT_NE(gpu.find("1.00 GiB are there; --vram "), std::string::npos) << gpu;
  const std::string host = refused({.host_gib = 8});
  EXPECT_EQ(host.find("host memory: "), 0U) << host;
  EXPECT_NE(host.find("--host 27"), std::string::npos) << host;
  EXPECT_NE(refused({.gpus = 3, .nodes = 2}).find("a multiple of the 2 nodes"), std::string::npos);
}

TEST(Planner, RefusesWhatRunsRefuse) {
  const ModelShapes model = model_shapes("14B");
  const auto refusal = [&](const PlanRequest& request) {
    return user_error_of([&] { check_request(model, request); });
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_NE(refusal({.width = 999'999'984, .height = 999'999'984}).find("counts up to 16384 pixels"),
            std::string::npos);
  EXPECT_NE(refusal({.frames = 999'997}).find("4093 frames"), std::string::npos);
  EXPECT_NE(refusal({.width = 8, .height = 8}).find("multiples of 16"), std::string::npos);
  EXPECT_NE(refusal({.gpus = 2, .nodes = 4}).find("multiple of the 4 nodes"), std::string::npos);
}

TEST(Planner, AVideoLeansOnTheRatesOfItsStartToo) {
  MachineRates machine = load_machine("h200");
  machine.init_s.source = RateSource::Assumed;
  machine.read_gbps.source = RateSource::Fitted;
  const ModelShapes model = model_shapes("1.3B");
  const Plans plans = make_plans(model, {}, machine);
  const Prediction& step = plans.all[plans.recommended].step;
  EXPECT_EQ(step.assumed, std::vector<std::string>{"init_s"});
  EXPECT_EQ(std::ranges::count(step.fitted, "read_gbps"), 1);
  const std::string table = plan_table(plans, model, machine, 4);
  EXPECT_NE(table.find("assumed, not measured, rates: init_s\n"), std::string::npos) << table;
  EXPECT_NE(table.find("rates fitted to whole forwards or runs: block_s, "), std::string::npos) << table;
}

// What a source says of each file is checked by hand; that one rank's section has no exchange to have
// measured, and that nobody had a machine without NVLink, is checked here.
TEST(MachineFile, SaysMeasuredOfNothingThatCannotHaveBeen) {
  const nlohmann::json pcie = nlohmann::json::parse(to_json(load_machine("pcie")));
  EXPECT_EQ(pcie.dump().find("\"measured\""), std::string::npos);
  for (const char* name : {"h100", "h200"}) {
    const MachineRates machine = load_machine(name);
    for (const RankRates& rates : machine.by_ranks) {
      for (const Rate& rate : {rates.pass_gbps, rates.block_s, rates.ranks_loss, rates.copy_loss,
                               rates.exchange_exposed, rates.gather_loss})
        EXPECT_NE(rate.source, RateSource::Measured) << name << " " << rates.ranks;
      if (rates.ranks > 1) continue;
      for (const Rate& rate : {rates.ranks_loss, rates.exchange_s, rates.exchange_gbps, rates.gather_gbps})
        EXPECT_EQ(rate.source, RateSource::Assumed) << name;
    }
  }
}

TEST(Planner, JsonHasWhatScriptsRead) {
  const ModelShapes model = model_shapes("1.3B");
  const Plans plans = make_plans(model, {.gpus = 2}, h100());
  const nlohmann::json json = nlohmann::json::parse(plan_json(plans, model, h100()));
  for (const char* key : {"type", "cfg", "ulysses", "offload_ratio", "prefetch_size", "transport",
                          "gpu_bytes", "node_bytes", "step_s", "compute_s", "copy_s", "exchange_s", "start_s",
                          "video_s", "data", "nodes", "videos_per_hour"}) {
    EXPECT_TRUE(json["recommended"].contains(key)) << key;
  }
  std::set<std::string> types;
  for (const auto& plan : json["plans"]) {
    types.insert(plan["type"].get<std::string>());
    EXPECT_TRUE(plan["fits"].is_boolean());
  }
  EXPECT_EQ(types, (std::set<std::string>{"async", "none", "sequential"}));
  EXPECT_NE(plan_table(plans, model, h100(), 4).find("recommended"), std::string::npos);
}

}  // namespace
}  // namespace ferry::worker
