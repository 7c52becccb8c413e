// inspect: what it says about complete, incomplete and damaged model folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/inspect/inspect.h"
#include "checkpoint/make/make_model.h"
#include "checkpoint/network/expected.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::refusal;
using testing::TempFolder;

TEST(Inspect, DemoModelIsComplete) {
  const InspectReport report = inspect(testing::demo_model());
  ASSERT_EQ(report.parts.size(), 3U);
  for (const PartReport& part : report.parts) {
    EXPECT_TRUE(part.usable()) << part.error;
    EXPECT_THAT(part.unexpected, IsEmpty());
    EXPECT_EQ(part.layout, "diffusers");
  }
  EXPECT_TRUE(report.usable());
  EXPECT_EQ(report.parts[0].tensors.size(), 6U * 27 + 15);
  EXPECT_EQ(report.parts[0].dtype_tensors.at("fp32"), 23);
  const std::string text = to_text(report, true);
  EXPECT_THAT(text, AllOf(HasSubstr("DiT: complete"), HasSubstr("heads = 4"),
                          HasSubstr("blocks.0.attn1.to_q.weight bf16 [192, 192]")));
  const json parsed = json::parse(to_json(report));
  EXPECT_TRUE(parsed.at("usable").get<bool>());
  EXPECT_EQ(parsed.at("parts").at(1).at("config").at("res_blocks"), "1");
  EXPECT_EQ(parsed.at("parts").at(0).at("tensors").size(), 177U);
}

TEST(Inspect, ListsMissingUnexpectedAndWrongShapes) {
  const TempFolder folder;
  MakeModelOptions options;
  options.out = folder.path();
  options.sparse = true;
  make_model(options, {});
  std::vector<TensorInfo> tensors = {{"extra.thing", DType::F32, {1}}};
  for (const ExpectedTensor& tensor : expected_dit(preset_configs(options).dit)) {
    if (tensor.key == "blocks.1.norm3.bias") continue;
    tensors.push_back({tensor.key, DType::F32, tensor.shape});
    if (tensor.key == "blocks.2.cross_attn.k.bias") tensors.back().shape = {191};
  }
  SafetensorsWriter writer(folder / "diffusion_pytorch_model.safetensors", tensors);
  for (const TensorInfo& tensor : tensors) writer.skip(tensor.bytes());
  writer.finish();
  const InspectReport report = inspect(folder.path());
  const PartReport& dit = report.parts[0];
  EXPECT_FALSE(dit.usable());
  EXPECT_FALSE(report.usable());
  EXPECT_THAT(dit.missing, ElementsAre("blocks.1.norm3.bias"));
  EXPECT_THAT(dit.unexpected, ElementsAre("extra.thing"));
  ASSERT_EQ(dit.wrong_shapes.size(), 1U);
  EXPECT_EQ(dit.wrong_shapes[0].key, "blocks.2.cross_attn.k.bias");
  EXPECT_THAT(to_text(report, false),
              AllOf(HasSubstr("not usable"), HasSubstr("extra.thing"), HasSubstr("[191], expected [192]")));
  EXPECT_TRUE(report.parts[1].usable()) << "the fault of one part does not hide the others";
}

TEST(Inspect, FaultsOfOnePartAreInItsReport) {
  const TempFolder folder;
  testing::write_bytes(folder / "Wan2.1_VAE.pth", "no archive");
  const InspectReport report = inspect(folder.path());
  EXPECT_THAT(report.parts[0].error, HasSubstr("no DiT"));
  EXPECT_THAT(report.parts[1].error, HasSubstr("Wan2.1_VAE.pth"));
  EXPECT_THAT(report.tokenizer_error, HasSubstr("spiece.model"));
  EXPECT_THAT(refusal([&] { inspect(folder / "none"); }), HasSubstr("none"));
}

}  // namespace
}  // namespace ferry::checkpoint
