// LoRA files: every layout of names, what is refused, and the merge against plain arithmetic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora_stack.h"
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
  LoraFile open(const std::vector<Tensor>& tensors, Unmatched unmatched = Unmatched::Refuse) {
    write(path, tensors);
    return LoraFile::open(path, spec, Part::Dit, unmatched);
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
      {"base_model.model.blocks.1.cross_attn.k.lora_A.my_style.weight",
       "base_model.model.blocks.1.cross_attn.k.lora_B.my_style.weight"},
      {"pipe.dit.blocks.1.cross_attn.k.lora_A.weight", "pipe.dit.blocks.1.cross_attn.k.lora_B.weight"},
      {"lora_unet_blocks_1_cross_attn_k.lora_down.weight", "lora_unet_blocks_1_cross_attn_k.lora_up.weight"},
      {"lora_unet__blocks_1_cross_attn_k.lora_A.weight", "lora_unet__blocks_1_cross_attn_k.lora_B.weight"},
      {"lora_transformer_blocks_1_attn2_to_k.lora_down.weight",
       "lora_transformer_blocks_1_attn2_to_k.lora_up.weight"},
      {"lycoris_blocks_1_cross_attn_k.lora_down.weight", "lycoris_blocks_1_cross_attn_k.lora_up.weight"}};
  for (const auto& [down, up] : layouts) {
    const LoraFile file = open({make(down, {kRank, 24}), make(up, {24, kRank})});
    ASSERT_EQ(file.pairs().size(), 1U);
    const LoraPair* pair = file.pair_of("blocks.1.cross_attn.k.weight");
    ASSERT_NE(pair, nullptr) << down;
    EXPECT_EQ(pair->down.source_key, down);
    EXPECT_EQ(pair->up.source_key, up);
    EXPECT_EQ(pair->scale, 1.0);
    EXPECT_EQ(file.pair_of("blocks.1.cross_attn.k.bias"), nullptr);
    EXPECT_EQ(file.pair_of("blocks.0.cross_attn.k.weight"), nullptr);
  }
}

TEST_F(Lora, DifferencesOfEveryKindOfModuleAreFound) {
  const std::vector<std::tuple<std::string, std::vector<std::int64_t>, std::string>> known = {
      {"diffusion_model.blocks.1.self_attn.q.diff", {24, 24}, "blocks.1.self_attn.q.weight"},
      {"diffusion_model.blocks.1.self_attn.q.diff_b", {24}, "blocks.1.self_attn.q.bias"},
      {"transformer.blocks.1.attn1.to_k.diff_b", {24}, "blocks.1.self_attn.k.bias"},
      {"lora_unet_blocks_1_ffn_0.diff_b", {40}, "blocks.1.ffn.0.bias"},
      {"blocks.0.self_attn.norm_q.diff", {24}, "blocks.0.self_attn.norm_q.weight"},
      {"transformer.blocks.0.norm2.diff", {24}, "blocks.0.norm3.weight"},
      {"blocks.0.norm3.diff_b", {24}, "blocks.0.norm3.bias"},
      {"blocks.0.modulation.diff", {1, 6, 24}, "blocks.0.modulation"},
      {"blocks.0.modulation.diff_m", {6, 24}, "blocks.0.modulation"},
      {"diffusion_model.blocks.0.diff_m", {1, 6, 24}, "blocks.0.modulation"},
      {"lora_unet_blocks_0.diff_m", {1, 6, 24}, "blocks.0.modulation"},
      {"transformer.blocks.0.scale_shift_table.diff", {1, 6, 24}, "blocks.0.modulation"},
      {"diffusion_model.head.diff_m", {1, 2, 24}, "head.modulation"},
      {"head.modulation.diff_m", {1, 2, 24}, "head.modulation"},
      {"lora_unet_head_modulation.diff", {1, 2, 24}, "head.modulation"},
      {"diffusion_model.head.head.diff", {64, 24}, "head.head.weight"},
      {"diffusion_model.patch_embedding.diff", {24, 16, 1, 2, 2}, "patch_embedding.weight"},
      {"patch_embedding.diff", {24, 64}, "patch_embedding.weight"},
      {"patch_embedding.diff_b", {24}, "patch_embedding.bias"},
      {"time_projection.1.diff_b", {144}, "time_projection.1.bias"}};
  for (const auto& [name, shape, key] : known) {
    const LoraFile file = open({make(name, shape)});
    ASSERT_NE(file.difference_of(key), nullptr) << name;
    EXPECT_EQ(file.differences().size(), 1U);
    EXPECT_EQ(file.difference_of(key)->source_key, name);
    EXPECT_TRUE(file.pairs().empty());
    EXPECT_TRUE(file.scales().empty());
  }
}

TEST_F(Lora, APairOfTheConvolutionIsFlattened) {
  for (const std::vector<std::int64_t>& down : {std::vector<std::int64_t>{kRank, 64}, {kRank, 16, 1, 2, 2}}) {
    const LoraFile file = open({make("patch_embedding.lora_down.weight", down),
                                make("patch_embedding.lora_up.weight", {24, kRank, 1, 1, 1})});
    const LoraPair* pair = file.pair_of("patch_embedding.weight");
    ASSERT_NE(pair, nullptr);
    EXPECT_FALSE(pair->linear);
    EXPECT_EQ(pair->down.shape, (std::vector<std::int64_t>{kRank, 64}));
    EXPECT_EQ(pair->up.shape, (std::vector<std::int64_t>{24, kRank}));
    EXPECT_TRUE(pair->down.contiguous() && pair->up.contiguous());
  }
}

TEST_F(Lora, OtherKindsOfAdaptersAreNamed) {
  for (const auto& [name, kind] : std::vector<std::pair<std::string, std::string>>{
           {"blocks.0.ffn.0.dora_scale", "DoRA"},
           {"base_model.model.blocks.0.ffn.0.lora_magnitude_vector.default.weight", "DoRA"},
           {"lycoris_blocks_0_ffn_0.hada_w1_a", "LoHa"},
           {"lora_unet_blocks_0_ffn_0.lokr_w1", "LoKr"},
           {"blocks.0.ffn.0.lokr_w2_a.default", "LoKr"},
           {"blocks.0.ffn.0.oft_blocks", "OFT"}}) {
    EXPECT_THAT(refused({make(name, {3})}), AllOf(HasSubstr(name), HasSubstr("a part of " + kind)));
    write(path, {make(name, {3})});
    EXPECT_THAT(refusal([&] { LoraFile::open(path, spec, Part::Dit, Unmatched::Skip); }), HasSubstr(kind))
        << "leaving it out would change the rest";
  }
}

TEST_F(Lora, WhatDoesNotBelongToTheModelIsLeftOutOnDemand) {
  const std::vector<Tensor> mixed = {make("blocks.0.ffn.0.lora_A.weight", {kRank, 24}),
                                     make("blocks.0.ffn.0.lora_B.weight", {40, kRank}),
                                     make("blocks.0.cross_attn.k_img.lora_A.weight", {kRank, 24}),
                                     make("blocks.0.cross_attn.k_img.lora_B.weight", {24, kRank}),
                                     make("patch_embedding.diff", {24, 36, 1, 2, 2}),
                                     make("blocks.1.ffn.2.lora_A.weight", {kRank, 41}),
                                     make("blocks.1.ffn.2.lora_B.weight", {24, kRank}),
                                     make("img_emb.emb_pos.diff", {1}),
                                     make("blocks.0.ffn.0.set_weight", {1})};
  EXPECT_THAT(refused(mixed),
              AllOf(HasSubstr("k_img"), HasSubstr("6 more"), HasSubstr("--lora.unmatched skip")));
  const LoraFile file = open(mixed, Unmatched::Skip);
  EXPECT_EQ(file.pairs().size(), 1U);
  EXPECT_TRUE(file.differences().empty());
  EXPECT_THAT(file.left_out(),
              ::testing::UnorderedElementsAre(
                  "blocks.0.cross_attn.k_img.lora_A.weight", "blocks.0.cross_attn.k_img.lora_B.weight",
                  "patch_embedding.diff", "blocks.1.ffn.2.lora_A.weight", "blocks.1.ffn.2.lora_B.weight",
                  "img_emb.emb_pos.diff", "blocks.0.ffn.0.set_weight"));
  write(path, {make("blocks.0.ffn.0.lora_A.weight", {kRank, 2048}),
               make("blocks.0.ffn.0.lora_B.weight", {40, kRank})});
  EXPECT_THAT(refusal([&] { LoraFile::open(path, spec, Part::Dit, Unmatched::Skip); }),
              HasSubstr("none of its 2 tensors belongs to this model"));
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
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.0.diff_b", {41})}),
              AllOf(HasSubstr("blocks.0.ffn.0.diff_b"), HasSubstr("[41]"), HasSubstr("[40]")));
  EXPECT_THAT(refused({down, up, make("blocks.0.self_attn.norm_q.diff_b", {24})}),
              HasSubstr("no module with a bias"));
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.0.diff_m", {40})}), HasSubstr("no weight of this model"));
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.0.lora_B.bias", {40})}),
              HasSubstr("not a part of a LoRA"));
  EXPECT_THAT(refused({make("blocks.0.ffn.0.lora_A.one.weight", {kRank, 24}),
                       make("blocks.0.ffn.0.lora_B.two.weight", {40, kRank})}),
              AllOf(HasSubstr("'one'"), HasSubstr("'two'")));
  EXPECT_THAT(refused({down, up, make("blocks.0.ffn.net.0.proj.lora_A.weight", {kRank, 24})}),
              HasSubstr("the same part"));
  EXPECT_THAT(refused({down, up, {"blocks.0.ffn.0.alpha", {2}, {1, 1}}}), HasSubstr("one finite number"));
  EXPECT_THAT(refused({}), HasSubstr("no tensor"));
}

// W + strength * alpha / rank * B A + strength * D, of several, in double.
TEST_F(Lora, WhatSeveralAddIsTheirSumInOrder) {
  write(path, {make("w", {40, 24}, 100)});
  const std::string first = folder / "first.safetensors";
  const std::string second = folder / "second.safetensors";
  const std::string third = folder / "third.safetensors";
  write(first, {make("blocks.0.ffn.0.lora_A.weight", {kRank, 24}),
                make("blocks.0.ffn.0.lora_B.weight", {40, kRank}, 7)});
  write(second, {make("blocks.0.ffn.0.diff", {40, 24}, 30), make("blocks.0.modulation.diff", {6, 24}, 11)});
  write(third, {make("blocks.0.ffn.0.diff", {40, 24}, 70)});
  const auto opened = [&](const std::string& name) {
    return std::make_shared<const LoraFile>(LoraFile::open(name, spec, Part::Dit));
  };
  const LoraStack stack = {{opened(first), 0.5}, {opened(second), -2}, {opened(third), 0}};
  const std::vector<LoraAddition> additions = additions_to("blocks.0.ffn.0.weight", stack, LoraTerms::All);
  ASSERT_EQ(additions.size(), 2U) << "strength 0 adds nothing";
  EXPECT_EQ(additions_to("blocks.0.ffn.0.weight", stack, LoraTerms::NotInCalls).size(), 1U);
  EXPECT_TRUE(additions_to("blocks.0.ffn.0.bias", stack, LoraTerms::All).empty());
  const SafetensorsFile file = SafetensorsFile::open(path);
  model::TensorSpec weight{.key = "w", .shape = {40, 24}, .dtype = DType::F32};
  std::vector<float> merged(40 * 24);
  read_merged_rows(file.at("w"), weight, additions, reinterpret_cast<std::byte*>(merged.data()), {0, 40});
  for (std::size_t o = 0; o < 40; ++o) {
    for (std::size_t i = 0; i < 24; ++i) {
      double sum = value(o * 24 + i + 100) - 2.0 * value(o * 24 + i + 30);
      for (std::size_t k = 0; k < kRank; ++k) sum += 0.5 * value(o * kRank + k + 7) * value(k * 24 + i);
      EXPECT_NEAR(merged[o * 24 + i], sum, 5e-7);
    }
  }
  std::vector<float> modulation(6 * 24);
  write(path, {make("m", {1, 6, 24}, 3)});
  const SafetensorsFile other = SafetensorsFile::open(path);
  read_merged_rows(other.at("m"), {.key = "m", .shape = {1, 6, 24}},
                   additions_to("blocks.0.modulation", stack, LoraTerms::NotInCalls),
                   reinterpret_cast<std::byte*>(modulation.data()), {0, 1});
  for (std::size_t i = 0; i < modulation.size(); ++i)
    EXPECT_NEAR(modulation[i], value(i + 3) - 2.0 * value(i + 11), 5e-7);
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
  const std::vector<LoraAddition> additions = {{.pair = &pair, .strength = 0.8}};
  const auto merge = [&](std::vector<float>& to, RowRange rows) {
    read_merged_rows(file.at("w"), weight, additions, reinterpret_cast<std::byte*>(to.data()), rows);
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
  read_merged_rows(file.at("w"), weight, additions, reinterpret_cast<std::byte*>(narrow.data()), {0, 40});
  convert(rounded.data(), DType::BF16, whole.data(), DType::F32, whole.size());
  EXPECT_EQ(narrow, rounded);
}

}  // namespace
}  // namespace ferry::checkpoint
