// LoRA files: every layout of names, what is refused, and the merge against plain arithmetic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora.h"
#include "model/dit/spec.h"
#include "model/shape.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::ferry::testing::refusal;
using ::ferry::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

const model::DitConfig kDit{.dim = 24, .ffn_dim = 40, .heads = 2, .layers = 2};
constexpr std::int64_t kRank = 3;

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

float value(std::size_t i) { return std::sin(static_cast<float>(i) * 0.37F); }

Tensor make(const std::string& name, std::vector<std::int64_t> shape, std::size_t from = 0) {
  std::vector<float> values(static_cast<std::size_t>(model::numel(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(i + from);
  return {name, std::move(shape), std::move(values)};
}

void write(const std::string& path, const std::vector<Tensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const Tensor& each : tensors) infos.push_back({each.name, DType::F32, each.shape});
  SafetensorsWriter file(path, infos);
  for (const Tensor& each : tensors) file.write(std::as_bytes(std::span(each.values)));
  file.finish();
}

class Lora : public ::testing::Test {
 protected:
  LoraFile open(const std::vector<Tensor>& tensors) {
    write(path, tensors);
    return LoraFile::open(path, spec, Part::Dit);
  }
  std::string refused(const std::vector<Tensor>& tensors) {
    const std::string text = refusal([&] { open(tensors); });
    EXPECT_THAT(text, HasSubstr(path));
    std::filesystem::remove(path);
    return text;
  }

  TempFolder folder;
  std::string path = folder / "lora.safetensors";
  model::NetworkSpec spec = model::dit_spec(kDit, DType::BF16);
};

TEST_F(Lora, EveryLayoutOfNamesLeadsToTheOfficialOne) {
  const std::vector<std::pair<std::string, std::string>> layouts = {
      {"blocks.1.cross_attn.k.lora_A.weight", "blocks.1.cross_attn.k.lora_B.weight"},
      {"diffusion_model.blocks.1.cross_attn.k.lora_down.weight",
       "diffusion_model.blocks.1.cross_attn.k.lora_up.weight"},
      {"transformer.blocks.1.attn2.to_k.lora_A.weight", "transformer.blocks.1.attn2.to_k.lora_B.weight"},
      {"base_model.model.blocks.1.cross_attn.k.lora_A.default.weight",
       "base_model.model.blocks.1.cross_attn.k.lora_B.default.weight"},
      {"lora_unet_blocks_1_cross_attn_k.lora_down.weight", "lora_unet_blocks_1_cross_attn_k.lora_up.weight"}};
  for (const auto& [down, up] : layouts) {
    const LoraFile file = open({make(down, {kRank, 24}), make(up, {24, kRank})});
    ASSERT_EQ(file.pairs().size(), 1U);
    const LoraPair* pair = file.of_weight("blocks.1.cross_attn.k.weight");
    ASSERT_NE(pair, nullptr) << down;
    EXPECT_EQ(pair->down.source_key, down);
    EXPECT_EQ(pair->up.source_key, up);
    EXPECT_EQ(pair->scale, 1.0);
    EXPECT_EQ(file.of_weight("blocks.1.cross_attn.k.bias"), nullptr);
    EXPECT_EQ(file.of_weight("blocks.0.cross_attn.k.weight"), nullptr);
  }
}

TEST_F(Lora, AlphaIsDividedByTheRank) {
  const LoraFile file = open({make("head.head.lora_down.weight", {4, 24}),
                              make("head.head.lora_up.weight", {64, 4}),
                              {"head.head.alpha", {}, {2.0F}}});
  EXPECT_EQ(file.pairs().at("head.head").scale, 0.5);
}

TEST_F(Lora, WhatDoesNotFitIsNamed) {
  const Tensor down = make("blocks.0.ffn.0.lora_A.weight", {kRank, 24});
  const Tensor up = make("blocks.0.ffn.0.lora_B.weight", {40, kRank});
  EXPECT_THAT(refused({down}), AllOf(HasSubstr("lora_A"), HasSubstr("lora_B (lora_up) of blocks.0.ffn.0")));
  EXPECT_THAT(refused({make(down.name, {kRank, 23}), up}),
              AllOf(HasSubstr(down.name), HasSubstr("[3, 23]"), HasSubstr("[3, 24]")));
  EXPECT_THAT(refused({down, make(up.name, {40, 4})}), AllOf(HasSubstr(up.name), HasSubstr("[40, 3]")));
  EXPECT_THAT(refused({down, up, make("blocks.7.ffn.0.lora_A.weight", {kRank, 24})}),
              AllOf(HasSubstr("blocks.7.ffn.0"), HasSubstr("no linear")));
  EXPECT_THAT(refused({down, up, make("blocks.0.norm3.lora_A.weight", {kRank, 24})}), HasSubstr("no linear"));
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.0.diff_b", {40})}), HasSubstr("blocks.0.ffn.0.diff_b"));
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.net.0.proj.lora_A.weight", {kRank, 24})}),
              HasSubstr("the same part"));
  EXPECT_THAT(refused({down, up, {"blocks.0.ffn.0.alpha", {2}, {1, 1}}}), HasSubstr("one finite number"));
  EXPECT_THAT(refused({}), HasSubstr("no tensor"));
}

// W + strength * alpha / rank * B A in double.
TEST_F(Lora, TheMergeIsThePlainSumRoundedOnceHoweverRowsAreDivided) {
  write(path, {make("w", {40, 24}, 100),
               make("blocks.0.ffn.0.lora_A.weight", {kRank, 24}),
               make("blocks.0.ffn.0.lora_B.weight", {40, kRank}, 7),
               {"blocks.0.ffn.0.alpha", {}, {1.5F}}});
  const SafetensorsFile file = SafetensorsFile::open(path);
  const LoraPair pair{.down = file.at("blocks.0.ffn.0.lora_A.weight"),
                      .up = file.at("blocks.0.ffn.0.lora_B.weight"),
                      .scale = 0.5};
  model::TensorSpec weight{.key = "w", .shape = {40, 24}, .dtype = DType::F32};
  std::vector<float> whole(40 * 24);
  std::vector<float> pieces(whole.size());
  const auto merge = [&](std::vector<float>& to, RowRange rows) {
    read_merged_rows(file.at("w"), weight, {&pair, 0.8}, reinterpret_cast<std::byte*>(to.data()), rows);
  };
  merge(whole, {0, 40});
  for (const RowRange rows : {RowRange{0, 1}, {1, 18}, {18, 40}}) merge(pieces, rows);
  EXPECT_EQ(std::memcmp(whole.data(), pieces.data(), whole.size() * sizeof(float)), 0);
  for (std::size_t o = 0; o < 40; ++o) {
    for (std::size_t i = 0; i < 24; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < kRank; ++k) sum += double{value(o * kRank + k + 7)} * value(k * 24 + i);
      // fp32 products and sums of 4 values of size 1.
      EXPECT_NEAR(whole[o * 24 + i], value(o * 24 + i + 100) + 0.8 * 0.5 * sum, 5e-7);
    }
  }
  weight.dtype = DType::BF16;
  std::vector<std::uint16_t> narrow(whole.size());
  std::vector<std::uint16_t> rounded(whole.size());
  read_merged_rows(file.at("w"), weight, {&pair, 0.8}, reinterpret_cast<std::byte*>(narrow.data()), {0, 40});
  convert(rounded.data(), DType::BF16, whole.data(), DType::F32, whole.size());
  EXPECT_EQ(narrow, rounded);
}

}  // namespace
}  // namespace ferry::checkpoint
