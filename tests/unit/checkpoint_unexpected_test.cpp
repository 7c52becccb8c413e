// Tensors that a network would leave out: another network in Wan's clothes, or what is always left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/inspect/inspect.h"
#include "checkpoint/make/make_model.h"
#include "checkpoint/network/expected.h"
#include "checkpoint/network/unexpected.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::refusal;
using testing::TempFolder;

// A tiny model whose files are sparse, and whose parts get more tensors.
class Extra : public ::testing::Test {
 public:
  Extra() {
    options_.out = folder_.path();
    options_.sparse = true;
    options_.layout = KeyLayout::Diffusers;
    make_model(options_, {});
  }

  // Rewrites the part's file with these tensors added, or put in the place of those of their names.
  void add(const std::string& part, const std::vector<TensorInfo>& more) const {
    const std::string path = folder_ / (part + "/diffusion_pytorch_model.safetensors");
    const std::string file = fs::exists(path) ? path : folder_ / (part + "/model.safetensors");
    std::vector<TensorInfo> infos;
    const SafetensorsFile old = SafetensorsFile::open(file);
    for (const TensorEntry& entry : old.entries()) {
      const auto same = [&](const TensorInfo& info) { return info.name == entry.source_key; };
      if (std::none_of(more.begin(), more.end(), same))
        infos.push_back({entry.source_key, entry.dtype, entry.shape});
    }
    infos.insert(infos.end(), more.begin(), more.end());
    SafetensorsWriter writer(file, infos);
    for (const TensorInfo& info : infos) writer.skip(info.bytes());
    writer.finish();
  }

  Checkpoint dit() const { return Checkpoint::open(folder_.path(), Part::Dit); }

  Unexpected found() const {
    std::unordered_set<std::string> known;
    for (const ExpectedTensor& expected : expected_dit(dit_config(dit()))) known.insert(expected.key);
    return find_unexpected(dit(), known);
  }

  std::vector<std::string> unexpected(Part part) const {
    const InspectReport report = inspect(folder_.path());
    return report.parts.at(static_cast<std::size_t>(part)).unexpected;
  }

  const TempFolder folder_;
  MakeModelOptions options_;
};

TensorInfo tensor(const std::string& name) { return {name, DType::F32, {2}}; }

// Names that public variants of the network have and Wan2.1's text-to-video has not.
TEST_F(Extra, TensorsOfOtherNetworksAreListed) {
  const std::vector<std::string> names = {"blocks.0.to_gate_compress.weight",
                                          "vace_blocks.0.proj_out.weight",
                                          "vace_patch_embedding.weight",
                                          "fps_embedding.weight",
                                          "fps_projection.0.weight",
                                          "control_adapter.conv.weight",
                                          "ref_conv.weight",
                                          "face_adapter.fuser_blocks.0.linear1_kv.weight",
                                          "motion_encoder.enc.fc.0.weight",
                                          "audio_proj.norm.weight",
                                          "blocks.0.audio_cross_attn.q.weight",
                                          "pose_patch_embedding.weight",
                                          "blocks.0.attn1.to_q.lora_A.weight",
                                          "blocks.0.attn1.norm_added_q.weight",
                                          "blocks.0.norm1.weight",
                                          "blocks.0.self_attn.q.weight",
                                          "blocks.0.attn2.to_q.weight.extra",
                                          "patch_embedding.weight2"};
  std::vector<TensorInfo> more;
  for (const std::string& name : names) more.push_back(tensor(name));
  add("transformer", more);
  EXPECT_THAT(unexpected(Part::Dit), ::testing::UnorderedElementsAreArray(names));
  const InspectReport report = inspect(folder_.path());
  EXPECT_FALSE(report.usable());
  EXPECT_THAT(to_text(report, false), AllOf(HasSubstr("DiT: not usable"), HasSubstr("unexpected (18)")));
}

TEST_F(Extra, RefusalSaysCountAndFirstNamesAndTheOption) {
  add("transformer", {tensor("a.x"), tensor("b.x"), tensor("c.x"), tensor("d.x"), tensor("e.x")});
  EXPECT_THAT(refusal([&] { refuse_unexpected(dit(), found()); }),
              AllOf(HasSubstr("transformer/diffusion_pytorch_model.safetensors"), HasSubstr("DiT"),
                    HasSubstr("5 tensors (a.x, b.x, c.x and 2 more)"), HasSubstr("--model.unexpected skip")));
}

TEST_F(Extra, WhatIsAlwaysLeftOutIsQuiet) {
  add("vae", {tensor("encoder.more.weight"), tensor("quant_conv.more")});
  add("text_encoder", {tensor("decoder.block.0.layer.0.layer_norm.weight"), tensor("lm_head.weight"),
                       tensor("decoder.embed_tokens.weight")});
  EXPECT_THAT(unexpected(Part::Vae), IsEmpty());
  EXPECT_THAT(unexpected(Part::TextEncoder), IsEmpty());
  EXPECT_TRUE(inspect(folder_.path()).usable());
}

TEST_F(Extra, TensorsOfVaeAndTextEncoderAreListedToo) {
  add("vae", {tensor("decoder.up_blocks.0.attentions.0.proj.weight"), tensor("post_quant_conv2.weight")});
  add("text_encoder", {tensor("encoder.block.0.layer.2.adapter.weight"), tensor("projection.weight")});
  EXPECT_THAT(unexpected(Part::Vae),
              ElementsAre("decoder.up_blocks.0.attentions.0.proj.weight", "post_quant_conv2.weight"));
  EXPECT_THAT(unexpected(Part::TextEncoder),
              ElementsAre("encoder.block.0.layer.2.adapter.weight", "projection.weight"));
}

TEST_F(Extra, CountersOfTrainingAreSaidAndHarmless) {
  add("transformer", {{"step", DType::I64, {}}, {"done", DType::Bool, {}}});
  const PartReport dit = inspect(folder_.path()).parts.at(0);
  EXPECT_TRUE(dit.usable());
  EXPECT_THAT(dit.notes, ElementsAre(HasSubstr("step"), HasSubstr("done")));
  add("transformer", {{"level", DType::F32, {}}});
  EXPECT_THAT(unexpected(Part::Dit), ElementsAre("level"));
}

// A scale whose name nobody knows would be one of these.
TEST_F(Extra, WhatStandsBesideAWeightOf8BitsIsNeverLeftOut) {
  const std::string module = "blocks.0.attn1.to_q";
  const std::vector<std::int64_t> shape = dit().find("blocks.0.self_attn.q.weight")->shape;
  const TensorInfo fp8 = {module + ".weight", DType::F8E4M3, shape};
  const TensorInfo exponent = {module + ".exponent", DType::I64, {}};
  add("transformer", {exponent});
  EXPECT_THAT(found().counters, ElementsAre(exponent.name));
  add("transformer", {fp8});
  EXPECT_THAT(found().counters, IsEmpty());
  EXPECT_THAT(unexpected(Part::Dit), ElementsAre(exponent.name));
  EXPECT_THAT(refusal([&] { refuse_beside_8_bits(dit(), found()); }),
              AllOf(HasSubstr(exponent.name), HasSubstr(fp8.name), HasSubstr("fp8")));
  add("transformer", {{exponent.name, DType::F32, {4}}});
  EXPECT_THAT(refusal([&] { refuse_beside_8_bits(dit(), found()); }), HasSubstr(exponent.name));
  add("transformer", {{fp8.name, DType::BF16, shape}});
  EXPECT_EQ(found().beside_8_bits, "");
}

// Tensors elsewhere may be another network's, of which fp8 that is a plain cast says nothing.
TEST_F(Extra, WhatStandsElsewhereMayBeLeftOut) {
  const std::vector<std::int64_t> shape = dit().find("blocks.0.self_attn.q.weight")->shape;
  add("transformer", {{"blocks.0.attn1.to_q.weight", DType::F8E4M3, shape},
                      tensor("blocks.0.attn1.to_k.factor"),
                      tensor("blocks.0.factor"),
                      {"vace_blocks.0.proj_out.weight", DType::F8E4M3, shape},
                      tensor("vace_blocks.0.proj_out.bias")});
  EXPECT_EQ(found().beside_8_bits, "");
  EXPECT_EQ(found().tensors.size(), 4U);
}

// A shard's tensors that the index forgets are left out as well.
TEST_F(Extra, TensorsThatTheIndexDoesNotNameAreListed) {
  const std::string file = "diffusion_pytorch_model.safetensors";
  json map;
  const SafetensorsFile written = SafetensorsFile::open(folder_ / ("transformer/" + file));
  for (const TensorEntry& entry : written.entries()) map[entry.source_key] = file;
  testing::write_bytes(folder_ / ("transformer/" + file + ".index.json"), json({{"weight_map", map}}).dump());
  EXPECT_THAT(unexpected(Part::Dit), IsEmpty());
  add("transformer", {tensor("blocks.0.to_gate_compress.weight")});
  EXPECT_THAT(unexpected(Part::Dit), ElementsAre("blocks.0.to_gate_compress.weight"));
}

}  // namespace
}  // namespace ferry::checkpoint
