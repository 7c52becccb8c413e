// Names of tensors in both layouts, and the list of expected tensors.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/names/keys.h"
#include "checkpoint/network/expected.h"
#include "model/shape.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

struct Totals {
  std::size_t tensors = 0;
  std::int64_t parameters = 0;
};

Totals totals(const std::vector<ExpectedTensor>& list, const std::string& prefix = "") {
  Totals sum;
  for (const ExpectedTensor& tensor : list) {
    if (!tensor.key.starts_with(prefix)) continue;
    ++sum.tensors;
    sum.parameters += model::numel(tensor.shape);
  }
  return sum;
}

void expect_totals(const Totals& found, std::size_t tensors, std::int64_t parameters) {
  EXPECT_EQ(found.tensors, tensors);
  EXPECT_EQ(found.parameters, parameters);
}

model::DitConfig config_14b() {
  model::DitConfig config;
  config.dim = 5120;
  config.ffn_dim = 13824;
  config.heads = 40;
  config.layers = 40;
  return config;
}

// wan21.md section 1.3.
TEST(Expected, DitOf1Point3B) {
  const auto list = expected_dit({});
  expect_totals(totals(list), 825, 1'418'996'800);
  expect_totals(totals(list, "blocks.7."), 27, 46'440'704);
  EXPECT_EQ(totals(list, "blocks.0.self_attn.").parameters, 9'446'400);
  EXPECT_EQ(totals(list, "blocks.0.ffn.").parameters, 27'535'616);
  EXPECT_EQ(totals(list, "patch_embedding.").parameters, 99'840);
  EXPECT_EQ(totals(list, "text_embedding.").parameters, 8'653'824);
  EXPECT_EQ(totals(list, "time_embedding.").parameters, 2'755'584);
  EXPECT_EQ(totals(list, "time_projection.").parameters, 14'164'992);
  EXPECT_EQ(totals(list, "head.").parameters, 101'440);
}

TEST(Expected, DitOf14B) {
  const auto list = expected_dit(config_14b());
  expect_totals(totals(list), 1095, 14'288'491'584);
  expect_totals(totals(list, "blocks.39."), 27, 351'394'304);
}

TEST(Expected, Vae) {
  const auto list = expected_vae({});
  expect_totals(totals(list), 194, 126'892'531);
  expect_totals(totals(list, "encoder."), 84, 53'595'872);
  expect_totals(totals(list, "decoder."), 106, 73'295'331);
  expect_totals(totals(list, "conv1."), 2, 1'056);
  expect_totals(totals(list, "conv2."), 2, 272);
}

TEST(Expected, Umt5) {
  const auto list = expected_umt5({});
  expect_totals(totals(list), 242, 5'680'910'336);
  expect_totals(totals(list, "blocks.23."), 10, 192'948'224);
}

// The shapes that wan21.md section 5.9 gives one by one.
TEST(Expected, VaeShapes) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const ExpectedTensor& tensor : expected_vae({})) shapes[tensor.key] = tensor.shape;
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(shapes.at("encoder.conv1.weight"), (Shape{96, 3, 3, 3, 3}));
  EXPECT_EQ(shapes.at("encoder.head.2.weight"), (Shape{32, 384, 3, 3, 3}));
  EXPECT_EQ(shapes.at("encoder.downsamples.5.time_conv.weight"), (Shape{192, 192, 3, 1, 1}));
  EXPECT_EQ(shapes.count("encoder.downsamples.2.time_conv.weight"), 0U);
  EXPECT_EQ(shapes.at("decoder.conv1.weight"), (Shape{384, 16, 3, 3, 3}));
  EXPECT_EQ(shapes.at("decoder.upsamples.3.resample.1.weight"), (Shape{192, 384, 3, 3}));
  EXPECT_EQ(shapes.at("decoder.upsamples.7.time_conv.weight"), (Shape{768, 384, 3, 1, 1}));
  EXPECT_EQ(shapes.at("decoder.upsamples.4.residual.2.weight"), (Shape{384, 192, 3, 3, 3}));
  EXPECT_EQ(shapes.at("decoder.upsamples.4.shortcut.weight"), (Shape{384, 192, 1, 1, 1}));
  EXPECT_EQ(shapes.at("decoder.upsamples.11.resample.1.weight"), (Shape{96, 192, 3, 3}));
  EXPECT_EQ(shapes.at("decoder.head.2.weight"), (Shape{3, 96, 3, 3, 3}));
}

void expect_round_trip(Part part, const std::vector<ExpectedTensor>& list, const KeyMap& map) {
  std::set<std::string> names;
  for (const ExpectedTensor& tensor : list) {
    const auto diffusers = map.to_diffusers(tensor.key);
    ASSERT_TRUE(diffusers.has_value()) << tensor.key;
    EXPECT_TRUE(names.insert(*diffusers).second) << *diffusers << " twice";
    EXPECT_EQ(map.to_official(*diffusers), tensor.key) << *diffusers;
  }
  EXPECT_EQ(detect_layout(map, std::vector<std::string>(names.begin(), names.end())), KeyLayout::Diffusers)
      << name_of(part);
}

TEST(Keys, EveryOfficialNameHasItsOwnDiffusersName) {
  expect_round_trip(Part::Dit, expected_dit({}), KeyMap(Part::Dit));
  expect_round_trip(Part::TextEncoder, expected_umt5({}), KeyMap(Part::TextEncoder));
  for (const std::int64_t blocks : {1, 2, 3}) {
    model::VaeConfig config;
    config.res_blocks = blocks;
    expect_round_trip(Part::Vae, expected_vae(config), KeyMap(Part::Vae, blocks + 1));
  }
}

TEST(Keys, NormTwoAndThreeChangePlaces) {
  const KeyMap map(Part::Dit);
  EXPECT_EQ(map.to_official("blocks.12.norm2.weight"), "blocks.12.norm3.weight");
  EXPECT_EQ(map.to_official("blocks.12.norm3.weight"), std::nullopt);
  EXPECT_EQ(map.to_official("scale_shift_table"), "head.modulation");
  EXPECT_EQ(map.to_official("blocks.3.scale_shift_table"), "blocks.3.modulation");
}

TEST(Keys, DecoderStagesOfDiffusersAreCountedThrough) {
  const KeyMap map(Part::Vae, 3);
  EXPECT_EQ(map.to_official("decoder.up_blocks.1.resnets.0.conv1.weight"),
            "decoder.upsamples.4.residual.2.weight");
  EXPECT_EQ(map.to_official("decoder.up_blocks.2.upsamplers.0.resample.1.bias"),
            "decoder.upsamples.11.resample.1.bias");
  EXPECT_EQ(map.to_official("decoder.up_blocks.3.resnets.2.norm2.gamma"),
            "decoder.upsamples.14.residual.3.gamma");
  const KeyMap shallow(Part::Vae, 2);
  EXPECT_EQ(shallow.to_official("decoder.up_blocks.1.resnets.0.conv1.weight"),
            "decoder.upsamples.3.residual.2.weight");
}

TEST(Keys, BothNamesOfTheEmbedding) {
  const KeyMap map(Part::TextEncoder);
  EXPECT_EQ(map.to_official("shared.weight"), "token_embedding.weight");
  EXPECT_EQ(map.to_official("encoder.embed_tokens.weight"), "token_embedding.weight");
}

TEST(Keys, ForeignPrefixesAreStripped) {
  for (const char* prefix : {"", "model.diffusion_model.", "diffusion_model.", "model.", "transformer.",
                             "module.", "_orig_mod.", "module._orig_mod.", "module.model."}) {
    EXPECT_EQ(without_prefix(std::string(prefix) + "blocks.0.norm3.bias"), "blocks.0.norm3.bias") << prefix;
  }
  EXPECT_EQ(without_prefix("blocks.0._orig_mod.ffn.0.bias"), "blocks.0.ffn.0.bias");
}

TEST(Keys, NamesThatNoRuleKnows) {
  const KeyMap map(Part::Dit);
  for (const char* key :
       {"", "blocks", "blocks..modulation", "blocks.x.modulation", "blocks.12345.modulation",
        "blocks.0.attn1.to_q.", "blocks.0.attn1.norm_added_q.weight", "patch_embedding."}) {
    EXPECT_EQ(map.to_official(key), std::nullopt) << key;
  }
}

// The names in files that diffusers and transformers wrote.
TEST(Keys, EveryNameOfTheDemoModelIsKnown) {
  const std::vector<std::pair<Part, std::string>> files = {
      {Part::Dit, "/transformer/diffusion_pytorch_model.safetensors"},
      {Part::Vae, "/vae/diffusion_pytorch_model.safetensors"},
      {Part::TextEncoder, "/text_encoder/model.safetensors"}};
  for (const auto& [part, path] : files) {
    const SafetensorsFile file = SafetensorsFile::open(testing::demo_model() + path);
    std::vector<std::string> names;
    for (const TensorEntry& entry : file.entries()) names.push_back(entry.source_key);
    const KeyMap map(part, vae_resnets(names));
    EXPECT_EQ(detect_layout(map, names), KeyLayout::Diffusers);
    for (const std::string& name : names) EXPECT_TRUE(map.to_official(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace ferry::checkpoint
