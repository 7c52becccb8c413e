// Quantisations that are not read, or not certain: each is refused by name, in one line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/inspect/inspect.h"
#include "tests/unit/checkpoint_quantization_support.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using testing::floats_tensor;
using testing::fp8_tensor;
using ::testing::HasSubstr;
using testing::int8_tensor;
using testing::RawTensor;
using testing::scale_tensor;
using testing::Shape;
using testing::TempFolder;
using testing::text_tensor;

const std::string kLinear = "blocks.0.self_attn.q";
const std::string kWeight = kLinear + ".weight";
const std::string kOther = "blocks.0.self_attn.k.weight";

class RefusedQuantization : public ::testing::Test {
 protected:
  // Why a file of these tensors is refused; every reason says what it is about.
  std::string why(const std::vector<RawTensor>& tensors, const std::string& metadata = "") {
    testing::write_bytes(path_, testing::file_of(tensors, metadata));
    const std::string message = testing::refusal([&] { Checkpoint::open(folder_.path(), Part::Dit); });
    EXPECT_THAT(message, HasSubstr("fp8 scales"));
    return message;
  }
  std::string why_shape(const Shape& weight, const Shape& scale) {
    return why({fp8_tensor(kWeight, weight), scale_tensor(kLinear + ".weight_scale", scale)});
  }
  void config(const std::string& quantization) {
    testing::write_bytes(folder_ / "config.json", "{\"quantization_config\": " + quantization + "}");
  }
  TempFolder folder_;
  std::string path_ = folder_ / "diffusion_pytorch_model.safetensors";
};

TEST_F(RefusedQuantization, HalfOfAPairAndTwoOfThem) {
  const RawTensor weight = fp8_tensor(kWeight, {4, 4});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {});
  EXPECT_THAT(why({scale, fp8_tensor(kOther, {4, 4})}), AllOf(HasSubstr(scale.name), HasSubstr(kWeight)));
  EXPECT_THAT(why({weight, scale, scale_tensor(kLinear + ".scale_weight", {1})}),
              AllOf(HasSubstr("scale_weight"), HasSubstr("another scale"), HasSubstr("weight_scale")));
  EXPECT_THAT(why({weight, scale, scale_tensor("model.diffusion_model." + scale.name, {1})}),
              HasSubstr("another scale"));
  EXPECT_THAT(why({weight, scale, fp8_tensor(kOther, {4, 4})}),
              AllOf(HasSubstr(kOther), HasSubstr("others")));
  EXPECT_THAT(why({weight, {"scaled_fp8", "F32", {}, std::string(4, '\0')}}),
              AllOf(HasSubstr(kWeight), HasSubstr("scaled_fp8 says")));
  EXPECT_THAT(why({int8_tensor(kWeight, {4, 4})}),
              AllOf(HasSubstr(kWeight), HasSubstr("int8 without a scale")));
  EXPECT_THAT(why({weight, scale, scale_tensor("blocks.0.self_attn.v.input_scale", {})}),
              AllOf(HasSubstr("self_attn.v.input_scale"), HasSubstr("missing")));
}

TEST_F(RefusedQuantization, AnInputScaleWithoutAScaleOfTheWeight) {
  const RawTensor weight = fp8_tensor(kWeight, {4, 4});
  for (const char* end : {".input_scale", ".scale_input", ".activation_scale"}) {
    EXPECT_THAT(why({weight, scale_tensor(kLinear + end, {})}),
                AllOf(HasSubstr(kWeight), HasSubstr("without a scale"), HasSubstr(kLinear + end)));
  }
  // Of a wide weight it says nothing, but then an fp8 weight of the same file has a scale as well.
  const RawTensor wide = floats_tensor(kOther, {1, 2}, {1, 2});
  const RawTensor of_wide = scale_tensor("blocks.0.self_attn.k.input_scale", {});
  testing::write_bytes(path_, testing::file_of({wide, of_wide}));
  EXPECT_EQ(Checkpoint::open(folder_.path(), Part::Dit).quantization().input_scales, 1);
  EXPECT_THAT(why({weight, wide, of_wide}), AllOf(HasSubstr(kWeight), HasSubstr(of_wide.name)));
}

// Diffusers' name of the modulation, which other networks have in other places too.
TEST_F(RefusedQuantization, AModulationIsNoScale) {
  testing::write_bytes(path_, testing::file_of({fp8_tensor(kWeight, {4, 4}),
                                                floats_tensor("blocks.0.scale_shift_table", {1, 2}, {1, 2}),
                                                floats_tensor("x.audio_scale_shift_table", {1, 2}, {1, 2})}));
  EXPECT_EQ(Checkpoint::open(folder_.path(), Part::Dit).entries().size(), 3U);
}

TEST_F(RefusedQuantization, ShapesThatDoNotFit) {
  EXPECT_THAT(why_shape({4, 6}, {6}), AllOf(HasSubstr("[6]"), HasSubstr("[4, 6]")));
  EXPECT_THAT(why_shape({4, 6}, {1, 4}), HasSubstr("[1, 4]"));
  EXPECT_THAT(why_shape({4, 6}, {4, 6, 1, 1}), HasSubstr("[4, 6, 1, 1]"));
  EXPECT_THAT(why_shape({300, 300}, {2, 3}), HasSubstr("weight_block_size"));
  EXPECT_THAT(why_shape({384, 384}, {2, 2}), HasSubstr("weight_block_size")) << "192 or 256";
  EXPECT_THAT(why_shape({48, 192}, {48, 2}), HasSubstr("weight_block_size")) << "96 or 128";
  EXPECT_THAT(why_shape({4, 6}, {0}), HasSubstr("[0]"));
  EXPECT_THAT(why({fp8_tensor("patch_embedding.weight", {8, 4, 1, 2, 2}),
                   scale_tensor("patch_embedding.weight_scale", {8, 4})}),
              HasSubstr("[8, 4]"));
  config(R"({"quant_method": "fp8", "weight_block_size": [128, 128]})");
  EXPECT_THAT(why_shape({192, 192}, {3, 3}), HasSubstr("128x128"));
  EXPECT_THAT(why_shape({192, 192}, {}), HasSubstr("128x128"));
  EXPECT_THAT(why_shape({192, 192}, {192, 1}), HasSubstr("128x128"));
  config(R"({"quant_method": "fp8", "weight_block_size": [128, 0]})");
  EXPECT_THAT(why_shape({192, 192}, {2, 2}), HasSubstr("weight_block_size"));
}

TEST_F(RefusedQuantization, ValuesAndTypesOfScales) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const RawTensor weight = fp8_tensor(kWeight, {2, 4});
  const std::string name = kLinear + ".weight_scale";
  for (const auto& [value, shown] : std::vector<std::pair<float, std::string>>{
           {0, "0"}, {-0.5F, "-0.5"}, {kInf, "inf"}, {kInf - kInf, "nan"}}) {
    EXPECT_THAT(why({weight, floats_tensor(name, {2}, {1, value})}),
                AllOf(HasSubstr(name), HasSubstr(shown)));
  }
  EXPECT_THAT(why({weight, {name, "U8", {2}, "\x7f\x7f"}}), AllOf(HasSubstr("uint8"), HasSubstr("mxfp8")));
  EXPECT_THAT(why({weight, {name, "F8_E4M3", {2}, "\x38\x38"}}), AllOf(HasSubstr("nvfp4"), HasSubstr(name)));
  EXPECT_THAT(why({weight, {name, "F64", {}, std::string(8, '\x3f')}}), HasSubstr("fp64"));
  EXPECT_THAT(why({weight, {name, "F8_E8M0", {2}, "\x7f\x7f"}}),
              AllOf(HasSubstr("F8_E8M0"), HasSubstr("mxfp8")));
  EXPECT_THAT(why({{kWeight, "F8_E5M2", {1}, "x"}, scale_tensor(name, {})}), HasSubstr("e5m2"));
}

TEST_F(RefusedQuantization, ScalesBesideWeightsThatAreNotQuantised) {
  const RawTensor weight = floats_tensor(kWeight, {1, 2}, {1, 2});
  const std::string name = kLinear + ".weight_scale";
  EXPECT_THAT(why({weight, floats_tensor(name, {}, {0.5F})}), AllOf(HasSubstr(name), HasSubstr("fp32")));
  testing::write_bytes(path_, testing::file_of({weight, floats_tensor(name, {}, {1})}));
  EXPECT_EQ(Checkpoint::open(folder_.path(), Part::Dit).quantization().unit_scales, 1);
}

// No name that ends like a part of a quantisation, or has the word scale, is passed over.
TEST_F(RefusedQuantization, NamesOfOtherQuantisations) {
  for (const char* end : {"weight_scale_2",
                          "weight_global_scale",
                          "weight_scalar",
                          "zero_point",
                          "weight_zero_point",
                          "zeros",
                          "qzeros",
                          "qweight",
                          "scales",
                          "g_idx",
                          "weight_packed",
                          "weight.absmax",
                          "weight.quant_state.bitsandbytes__nf4",
                          "weight.quant_map",
                          "SCB",
                          "weight._scale",
                          "weight._data",
                          "weight.scale",
                          "scale",
                          "scale_inv",
                          "pre_quant_scale",
                          "smooth_factor",
                          "wscales",
                          "weight_s_rel",
                          "weight_codebook",
                          "weight_quantizer._amax",
                          "output_scale",
                          "weight_offset",
                          "weight_qdata",
                          "k_scale",
                          "wscale",
                          "weightscale",
                          "WeightScale",
                          "weight_scale_inverse",
                          "weight_scale_hi",
                          "scale_w",
                          "scale_inverse",
                          "wscale_exp"}) {
    const std::string name = kLinear + "." + end;
    EXPECT_THAT(why({floats_tensor(kWeight, {1, 1}, {1}), floats_tensor(name, {}, {1})}), HasSubstr(name))
        << end;
  }
}

TEST_F(RefusedQuantization, MarksOfLayers) {
  const RawTensor weight = fp8_tensor(kWeight, {192, 192});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {});
  const auto why_mark = [&](const std::string& text) {
    return why({weight, scale, text_tensor(kLinear + ".comfy_quant", text)});
  };
  EXPECT_THAT(why_mark(R"({"format": "nvfp4"})"), HasSubstr("nvfp4"));
  EXPECT_THAT(why_mark(R"({"format": "mxfp8"})"), HasSubstr("mxfp8"));
  EXPECT_THAT(why_mark(R"({"format": "int8_tensorwise"})"),
              AllOf(HasSubstr("int8_tensorwise"), HasSubstr("fp8")));
  EXPECT_THAT(why_mark(R"({"format": "float8_e4m3fn_blockwise", "group_size": 64})"), HasSubstr("64x64"));
  EXPECT_THAT(why_mark(R"({"format": "float8_e4m3fn", "convrot": true})"), HasSubstr("rotated"));
  EXPECT_THAT(why_mark(R"({"format": "float8_e4m3fn", "bias": 3})"), HasSubstr("bias"));
  EXPECT_THAT(why_mark(R"({})"), HasSubstr("no format"));
  EXPECT_THAT(why_mark("{"), HasSubstr("comfy_quant"));
  EXPECT_THAT(why({weight, text_tensor(kLinear + ".comfy_quant", R"({"format": "float8_e4m3fn"})")}),
              HasSubstr("no scale"));
  EXPECT_THAT(why({weight, scale, scale_tensor(kLinear + ".comfy_quant", {1})}), HasSubstr("uint8"));
}

TEST_F(RefusedQuantization, MarksInTheHeader) {
  const RawTensor weight = fp8_tensor(kWeight, {192, 192});
  const RawTensor scale = scale_tensor(kLinear + ".weight_scale", {});
  const auto why_layers = [&](const std::string& layers, const std::vector<RawTensor>& tensors) {
    return why(tensors, R"({"_quantization_metadata": "{\"layers\": {)" + layers + R"(}}"})");
  };
  EXPECT_THAT(why_layers(R"(\"blocks.0.self_attn.q\": {\"format\": \"nvfp4\"})", {weight, scale}),
              AllOf(HasSubstr("blocks.0.self_attn.q"), HasSubstr("nvfp4")));
  EXPECT_THAT(why_layers(R"(\"blocks.0.self_attn.q\": {\"format\": \"float8_e4m3fn\"})", {weight}),
              HasSubstr("no scale"));
  EXPECT_THAT(why_layers(R"(\"blocks.0.self_attn.x\": {\"format\": \"float8_e4m3fn\"})", {weight, scale}),
              HasSubstr("self_attn.x.weight is missing"));
  EXPECT_THAT(
      why_layers(R"(\"blocks.0.self_attn.q\": {\"format\": \"int8_tensorwise\"})",
                 {weight, scale, text_tensor(kLinear + ".comfy_quant", R"({"format": "float8_e4m3fn"})")}),
      AllOf(HasSubstr("int8_tensorwise"), HasSubstr("float8_e4m3fn")));
  EXPECT_THAT(why({weight, scale}, R"({"_quantization_metadata": "["})"),
              HasSubstr("_quantization_metadata"));
}

TEST_F(RefusedQuantization, ConfigurationsOfOtherPrograms) {
  const RawTensor weight = fp8_tensor(kWeight, {192, 192});
  config(R"({"quant_method": "torchao"})");
  EXPECT_THAT(why({weight}), AllOf(HasSubstr("config.json"), HasSubstr("torchao"), HasSubstr(kWeight)));
  config(R"({"quant_algo": "NVFP4"})");
  EXPECT_THAT(why({weight}), HasSubstr("NVFP4"));
  config(R"({"quant_method": "fp8"})");
  EXPECT_THAT(why({weight}), AllOf(HasSubstr("without a scale"), HasSubstr("config.json")));
  config(
      R"({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}})");
  EXPECT_THAT(why({weight}), HasSubstr("num_bits is 4"));
  config(
      R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"symmetric": false}}}})");
  EXPECT_THAT(why({weight}), HasSubstr("zero points"));
  config("7");
  EXPECT_THAT(why({weight}), HasSubstr("quantization_config"));
}

TEST_F(RefusedQuantization, InspectSaysWhyAndListsTheTensors) {
  testing::write_bytes(
      path_, testing::file_of({fp8_tensor(kWeight, {4, 4}), scale_tensor(kLinear + ".weight_scale", {}),
                               scale_tensor(kLinear + ".weight_scale_2", {})}));
  const PartReport dit = inspect(folder_.path()).parts.at(0);
  EXPECT_FALSE(dit.usable());
  EXPECT_THAT(dit.error, AllOf(HasSubstr("fp8 scales"), HasSubstr("weight_scale_2")));
  EXPECT_EQ(dit.tensors.size(), 3U);
}

}  // namespace
}  // namespace ferry::checkpoint
