#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "offload/sequential/module_config.h"
#include "offload/sequential/sequential_plan.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using model::ModuleKind;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using testing::toy_spec;

TEST(ModuleConfig, TheSixKeysSetTheirStates) {
  const ModuleConfig config = parse_module_config({{"offload_dtype", "fp32"},
                                                   {"offload_device", "cpu"},
                                                   {"onload_dtype", "fp16"},
                                                   {"onload_device", "cpu"},
                                                   {"computation_dtype", "bf16"},
                                                   {"computation_device", "cuda"}},
                                                  "offload.module_config");
  EXPECT_EQ(config.offload, (StateConfig{.dtype = DType::F32, .place = Place::Host}));
  EXPECT_EQ(config.onload, (StateConfig{.dtype = DType::F16, .place = Place::Host}));
  EXPECT_EQ(config.computation, (StateConfig{.dtype = DType::BF16, .place = Place::Device}));
}

TEST(ModuleConfig, DefaultsAreHostDeviceDevice) {
  const ModuleConfig config = parse_module_config({}, "");
  EXPECT_EQ(config.offload.place, Place::Host);
  EXPECT_EQ(config.onload.place, Place::Device);
  EXPECT_EQ(config.computation, config.onload);
}

TEST(ModuleConfig, WrongWordsAreNamed) {
  const auto parse = [](const std::string& key, const std::string& word) {
    return [=] { parse_module_config({{key, word}}, "offload.module_config"); };
  };
  EXPECT_THAT(parse("offload_dtype", "int8"), ThrowsMessage<UserError>(HasSubstr("fp32, bf16, fp16, fp8")));
  EXPECT_THAT(parse("onload_device", "disk"), ThrowsMessage<UserError>(HasSubstr("neither cpu nor cuda")));
  EXPECT_THAT(parse("offload_type", "cpu"), ThrowsMessage<UserError>(HasSubstr("unknown key")));
  EXPECT_THAT(parse("computation_device", "cpu"), ThrowsMessage<UserError>(HasSubstr("computation_device")));
}

TEST(ModuleConfig, LongWordsAreCutInMessages) {
  using ::testing::Property;
  using ::testing::SizeIs;
  const std::string word(10'000, 'x');
  const auto is_short = Property(
      &UserError::what,
      ::testing::ResultOf([](const char* what) { return std::string(what); }, SizeIs(::testing::Lt(400U))));
  for (const char* key : {"offload_dtype", "onload_device", word.c_str()}) {
    EXPECT_THAT([&] { parse_module_config({{key, word}}, "o"); }, ::testing::Throws<UserError>(is_short));
  }
  EXPECT_THAT([&] { parse_module_map(word); }, ::testing::Throws<UserError>(is_short));
  EXPECT_THAT([&] { parse_module_map("linear=" + word); }, ::testing::Throws<UserError>(is_short));
}

TEST(ModuleMap, EmptyWrapsEverythingWithItsOwnWrapper) {
  const ModuleMap map = parse_module_map("");
  EXPECT_EQ(map.at(ModuleKind::Linear), Wrapper::AutoWrappedLinear);
  EXPECT_EQ(map.at(ModuleKind::LayerNorm), Wrapper::WanAutoCastLayerNorm);
  EXPECT_EQ(map.at(ModuleKind::Conv), Wrapper::AutoWrappedModule);
  EXPECT_EQ(map.size(), 6U);
}

TEST(ModuleMap, OnlyListedKindsAreWrapped) {
  const ModuleMap map = parse_module_map("linear=AutoWrappedModule, layernorm");
  EXPECT_EQ(map.at(ModuleKind::Linear), Wrapper::AutoWrappedModule);
  EXPECT_EQ(map.at(ModuleKind::LayerNorm), Wrapper::WanAutoCastLayerNorm);
  EXPECT_EQ(map.count(ModuleKind::Parameter), 0U);
}

TEST(ModuleMap, WrongWordsAreNamed) {
  EXPECT_THAT([] { parse_module_map("linaer"); }, ThrowsMessage<UserError>(HasSubstr("linaer")));
  EXPECT_THAT([] { parse_module_map("linear=Wrapped"); },
              ThrowsMessage<UserError>(HasSubstr("AutoWrappedLinear")));
  EXPECT_THROW(parse_module_map("conv=AutoWrappedLinear"), UserError);
}

TEST(SequentialPlan, ModulesAboveMaxNumParamUseTheOverflowConfiguration) {
  Options options{.type = StrategyKind::Sequential};
  options.max_num_param = 96 * 96 + 96;
  options.overflow_module_config = {{"onload_device", "cpu"}};
  int overflowing = 0;
  for (const ModulePlan& plan : plan_sequential(toy_spec(), options)) {
    EXPECT_EQ(plan.overflow, plan.parameters > 96 * 96 + 96);
    EXPECT_EQ(plan.config.onload.place, plan.overflow ? Place::Host : Place::Device);
    overflowing += plan.overflow ? 1 : 0;
  }
  EXPECT_EQ(overflowing, 7) << "the ffn of each block";
  options.overflow_module_config.clear();
  EXPECT_THROW(plan_sequential(toy_spec(), options), UserError);
}

TEST(SequentialPlan, ANarrowStorageTypeSparesTheFp32ListButNotWrappedNorms) {
  Options options{.type = StrategyKind::Sequential};
  options.module_config = {{"offload_dtype", "fp8"}};
  const model::NetworkSpec stored = make_plan(toy_spec(), options, 1).arena.stored;
  const auto& block = stored.blocks[0].modules;
  EXPECT_EQ(block[0].tensors[0].dtype, DType::F8E4M3) << "norm, WanAutoCastLayerNorm";
  EXPECT_EQ(block[1].tensors[0].dtype, DType::F32) << "modulation, an fp32 parameter of a bf16 network";
  EXPECT_EQ(block[2].tensors[0].dtype, DType::F8E4M3) << "q";
  EXPECT_EQ(stored.tail[0].tensors[0].dtype, DType::F32) << "an fp32 linear";
  options.module_map = "linear";
  EXPECT_EQ(make_plan(toy_spec(), options, 1).arena.stored.blocks[0].modules[0].tensors[0].dtype, DType::F32);
  options.type = StrategyKind::Async;
  EXPECT_EQ(make_plan(toy_spec(), options, 1).arena.stored.blocks[0].modules[2].tensors[0].dtype,
            DType::BF16);
}

TEST(SequentialPlan, AnotherComputationTypeThanTheNetworksIsRefused) {
  Options options{.type = StrategyKind::Sequential};
  options.module_config = {{"computation_dtype", "fp16"}};
  EXPECT_THAT([&] { plan_sequential(toy_spec(), options); },
              ThrowsMessage<UserError>(HasSubstr("the network computes in bf16")));
}

}  // namespace
}  // namespace ferry::offload
