// Weights in 8 bits with scales: every spelling in use, bit for bit against a computation of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora_stack.h"
#include "tests/unit/checkpoint_quantization_support.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using testing::expected_bf16;
using testing::file_of;
using testing::fp8_tensor;
using ::testing::HasSubstr;
using testing::int8_tensor;
using testing::RawTensor;
using testing::read_bf16;
using testing::scale_tensor;
using testing::Shape;
using testing::TempFolder;
using testing::text_tensor;
using testing::value_of;

const std::string kLinear = "blocks.0.self_attn.q";
const std::string kWeight = kLinear + ".weight";

class QuantizedCheckpoint : public ::testing::Test {
 protected:
  Checkpoint open(const std::vector<RawTensor>& tensors, const std::string& metadata = "") {
    testing::write_bytes(path_, file_of(tensors, metadata));
    return Checkpoint::open(folder_.path(), Part::Dit);
  }
  // A weight and a scale [rows, columns] of blocks: what is read is their product.
  void check(const RawTensor& weight, const RawTensor& scale, std::int64_t block_rows,
             std::int64_t block_columns, const std::vector<RawTensor>& others = {},
             const std::string& metadata = "") {
    std::vector<RawTensor> tensors = {weight, scale};
    tensors.insert(tensors.end(), others.begin(), others.end());
    const Checkpoint checkpoint = open(tensors, metadata);
    const std::int64_t columns = weight.shape[1];
    const std::int64_t across = (columns + block_columns - 1) / block_columns;
    EXPECT_EQ(read_bf16(checkpoint, kWeight),
              expected_bf16(weight,
                            [&](std::int64_t row, std::int64_t column) {
                              const std::int64_t at = row / block_rows * across + column / block_columns;
                              return value_of(scale, static_cast<std::size_t>(at));
                            }))
        << scale.name << ' ' << text_of(checkpoint.quantization());
    EXPECT_EQ(checkpoint.quantization().fp8_weights, weight.dtype == "F8_E4M3" ? 1 : 0);
    EXPECT_EQ(checkpoint.quantization().int8_weights, weight.dtype == "I8" ? 1 : 0);
  }
  TempFolder folder_;
  std::string path_ = folder_ / "diffusion_pytorch_model.safetensors";
};

TEST_F(QuantizedCheckpoint, OneScalePerTensor) {
  const RawTensor weight = fp8_tensor(kWeight, {9, 40});
  for (const char* spelling : {".scale_weight", ".weight_scale", ".weight_scale_inv"}) {
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
      for (const char* dtype : {"F32", "F16", "BF16"}) {
        check(weight, scale_tensor(kLinear + spelling, shape, dtype), 9, 40);
      }
    }
  }
}

TEST_F(QuantizedCheckpoint, OneScalePerRow) {
  const RawTensor weight = fp8_tensor(kWeight, {200, 300});  // more than one piece of the reader
  for (const char* spelling : {".scale_weight", ".weight_scale", ".weight_scale_inv"}) {
    for (const Shape& shape : {Shape{200}, Shape{200, 1}}) {
      check(weight, scale_tensor(kLinear + spelling, shape), 1, 300);
    }
  }
}

TEST_F(QuantizedCheckpoint, BlocksOf128WhoseLastIsCut) {
  check(fp8_tensor(kWeight, {300, 200}), scale_tensor(kLinear + ".weight_scale_inv", {3, 2}), 128, 128);
  check(fp8_tensor(kWeight, {256, 384}), scale_tensor(kLinear + ".weight_scale", {2, 3}, "BF16"), 128, 128);
  check(fp8_tensor(kWeight, {300, 96}), scale_tensor(kLinear + ".weight_scale_inv", {3, 1}), 128, 128);
}

TEST_F(QuantizedCheckpoint, BlocksOfOtherSizesThatTheShapeSays) {
  check(fp8_tensor(kWeight, {192, 128}), scale_tensor(kLinear + ".weight_scale_inv", {3, 2}), 64, 64);
  check(fp8_tensor(kWeight, {48, 128}), scale_tensor(kLinear + ".weight_scale", {48, 4}), 1, 32);
  // Groups as musubi-tuner writes them: any width that divides the row.
  check(fp8_tensor(kWeight, {48, 192}), scale_tensor(kLinear + ".scale_weight", {48, 2, 1}), 1, 96);
}

TEST_F(QuantizedCheckpoint, BlocksOfTheSizeThatConfigJsonSays) {
  testing::write_bytes(folder_ / "config.json",
                       R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [96, 80]}})");
  check(fp8_tensor(kWeight, {200, 200}), scale_tensor(kLinear + ".weight_scale_inv", {3, 3}), 96, 80);
}

TEST_F(QuantizedCheckpoint, Int8) {
  check(int8_tensor(kWeight, {7, 50}), scale_tensor(kLinear + ".weight_scale", {}), 7, 50);
  check(int8_tensor(kWeight, {7, 50}), scale_tensor(kLinear + ".weight_scale", {7, 1}), 1, 50);
  check(int8_tensor(kWeight, {256, 256}), scale_tensor(kLinear + ".weight_scale", {2, 2}), 128, 128);
}

TEST_F(QuantizedCheckpoint, MarksThatSayTheSame) {
  const RawTensor weight = fp8_tensor(kWeight, {192, 192});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {});
  check(weight, scale, 192, 192, {text_tensor(kLinear + ".comfy_quant", R"({"format": "float8_e4m3fn"})")});
  check(weight, scale, 192, 192, {},
        R"({"_quantization_metadata":"{\"format_version\":\"1.0\",\"layers\":{\"blocks.0.self_attn.q\":)"
        R"({\"format\":\"float8_e4m3fn\",\"full_precision_matrix_mult\":true}}}"})");
  check(int8_tensor(kWeight, {192, 192}), scale_tensor(kLinear + ".weight_scale", {3, 3}), 64, 64,
        {text_tensor(kLinear + ".comfy_quant", R"({"format": "int8_blockwise", "group_size": 64} )")});
  check(fp8_tensor(kWeight, {192, 192}), scale_tensor(kLinear + ".scale_weight", {1}), 192, 192,
        {{"scaled_fp8", "F8_E4M3", {2}, std::string(2, '\0')}});
}

TEST_F(QuantizedCheckpoint, InputScalesAreCounted) {
  const RawTensor weight = fp8_tensor(kWeight, {4, 4});
  for (const char* spelling : {".input_scale", ".scale_input", ".activation_scale"}) {
    const Checkpoint checkpoint =
        open({weight, scale_tensor(kLinear + ".weight_scale", {}), scale_tensor(kLinear + spelling, {})});
    EXPECT_EQ(checkpoint.quantization().input_scales, 1);
    EXPECT_EQ(
        text_of(checkpoint.quantization()),
        "1 fp8 weights dequantised when read, 1 scales weight_scale per tensor, 1 input scales not used");
  }
}

TEST_F(QuantizedCheckpoint, AnyNameAndPrefix) {
  const auto read = [&](const std::string& name) {
    const RawTensor weight = fp8_tensor(name + ".weight", {6, 5});
    const RawTensor scale = scale_tensor(name + ".weight_scale", {6, 1});
    const Checkpoint checkpoint = open({weight, scale});
    EXPECT_EQ(
        read_bf16(checkpoint, kWeight),
        expected_bf16(weight, [&](std::int64_t row,
                                  std::int64_t) { return value_of(scale, static_cast<std::size_t>(row)); }))
        << name;
    for (const TensorEntry& entry : checkpoint.entries())
      EXPECT_EQ(entry.companion, entry.source_key == scale.name) << entry.source_key;
  };
  read("model.diffusion_model." + kLinear);
  read("_orig_mod." + kLinear);
  read("blocks.0.attn1.to_q");
  read("transformer.blocks.0.attn1.to_q");
}

TEST_F(QuantizedCheckpoint, ConvolutionsOneScalePerTensorOrRow) {
  const RawTensor weight = fp8_tensor("patch_embedding.weight", {8, 4, 1, 2, 2});
  for (const Shape& shape : {Shape{}, Shape{8}, Shape{8, 1, 1, 1, 1}}) {
    const RawTensor scale = scale_tensor("patch_embedding.weight_scale", shape);
    const Checkpoint checkpoint = open({weight, scale});
    EXPECT_EQ(read_bf16(checkpoint, "patch_embedding.weight"),
              expected_bf16(weight, [&](std::int64_t row, std::int64_t) {
                return value_of(scale, shape.empty() ? 0 : static_cast<std::size_t>(row));
              }));
  }
}

// The index of a repack may be the original's, which knows no scales.
TEST_F(QuantizedCheckpoint, TheScaleMayBeInAnotherShard) {
  const RawTensor weight = fp8_tensor(kWeight, {6, 5});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {6, 1});
  testing::write_bytes(folder_ / "a.safetensors", file_of({weight}));
  testing::write_bytes(folder_ / "b.safetensors", file_of({scale, scale_tensor("head.head.bias", {2})}));
  for (const std::string& more : {std::string(), "\"" + scale.name + "\": \"b.safetensors\","}) {
    testing::write_bytes(folder_ / "diffusion_pytorch_model.safetensors.index.json",
                         "{\"weight_map\": {" + more + "\"" + kWeight +
                             R"(": "a.safetensors", "head.head.bias": "b.safetensors"}})");
    EXPECT_EQ(read_bf16(Checkpoint::open(folder_.path(), Part::Dit), kWeight),
              expected_bf16(weight, [&](std::int64_t row, std::int64_t) {
                return value_of(scale, static_cast<std::size_t>(row));
              }));
  }
}

// torch has no storage class for fp8 and writes it in another way than other types.
TEST_F(QuantizedCheckpoint, ArchivesOfTorch) {
  if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  const TempFolder folder;
  testing::run_python(R"(
import sys, torch
torch.manual_seed(5)
q, s = torch.randn(24, 16).mul(99).to(torch.float8_e4m3fn), torch.rand(24, 1) / 100 + 0.001
w = "blocks.0.attn.q.weight"
torch.save({w: q, w + "_scale": s}, sys.argv[1] + "/models_t5_umt5-xxl-enc-bf16.pth")
torch.save({w: q.to(torch.float8_e5m2), w + "_scale": s}, sys.argv[1] + "/e5m2.pth")
open(sys.argv[1] + "/expected", "wb").write((q.float() * s).bfloat16().view(torch.uint8).numpy().tobytes())
)",
                      {folder.path()});
  const std::string expected = testing::read_bytes(folder / "expected");
  const std::vector<std::uint16_t> found =
      read_bf16(Checkpoint::open(folder.path(), Part::TextEncoder), "blocks.0.attn.q.weight");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(found.data()), found.size() * 2), expected);
  EXPECT_THAT(testing::refusal([&] { Checkpoint::open_files({folder / "e5m2.pth"}, Part::TextEncoder); }),
              AllOf(HasSubstr("e5m2"), HasSubstr("fp8 scales")));
}

TEST_F(QuantizedCheckpoint, PlainFp8StaysAsItIs) {
  const RawTensor weight = fp8_tensor(kWeight, {6, 5});
  const Checkpoint checkpoint = open({weight});
  EXPECT_FALSE(checkpoint.quantization().any());
  EXPECT_EQ(read_bf16(checkpoint, kWeight),
            expected_bf16(weight, [](std::int64_t, std::int64_t) { return 1.0F; }));
}

// Dequantised, then added to, then rounded: once.
TEST_F(QuantizedCheckpoint, LorasAreAddedToTheProduct) {
  const std::int64_t out = 40;
  const std::int64_t in = 24;
  const RawTensor weight = fp8_tensor(kWeight, {out, in});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {out, 1});
  const Checkpoint checkpoint = open({weight, scale});
  std::vector<float> down(static_cast<std::size_t>(in));
  std::vector<float> up(static_cast<std::size_t>(out));
  for (std::size_t i = 0; i < down.size(); ++i) down[i] = 0.01F * static_cast<float>(i + 1);
  for (std::size_t i = 0; i < up.size(); ++i) up[i] = 0.02F * static_cast<float>(i) - 0.3F;
  const auto entry_of = [](const std::vector<float>& values, const Shape& shape) {
    return TensorEntry{"lora",
                       "lora",
                       "file",
                       DType::F32,
                       shape,
                       {shape[1], 1},
                       reinterpret_cast<const std::byte*>(values.data())};
  };
  const LoraPair pair{.down = entry_of(down, {1, in}), .up = entry_of(up, {out, 1}), .scale = 0.5};
  const model::TensorSpec spec{.key = kWeight, .shape = {out, in}, .dtype = DType::F32};
  std::vector<float> merged(static_cast<std::size_t>(out * in));
  const std::vector<LoraAddition> additions = {{.pair = &pair}};
  for (const RowRange rows : {RowRange{17, out}, RowRange{0, 17}}) {
    read_merged_rows(*checkpoint.find(kWeight), spec, additions, reinterpret_cast<std::byte*>(merged.data()),
                     rows);
  }
  for (std::int64_t row = 0; row < out; ++row) {
    for (std::int64_t column = 0; column < in; ++column) {
      const auto at = static_cast<std::size_t>(row * in + column);
      const float product = value_of(weight, at) * value_of(scale, static_cast<std::size_t>(row));
      const float factor = 0.5F * up[static_cast<std::size_t>(row)];
      EXPECT_FLOAT_EQ(merged[at], product + factor * down[static_cast<std::size_t>(column)]);
    }
  }
}

}  // namespace
}  // namespace ferry::checkpoint
