// The scale of a LoRA's linears: from alpha tensors, the header and adapter_config.json, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora.h"
#include "model/dit/spec.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::ferry::testing::refusal;
using ::ferry::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Metadata = std::map<std::string, std::string>;

const model::DitConfig kDit{.dim = 24, .ffn_dim = 40, .heads = 2, .layers = 2};
constexpr const char* kQuery = "blocks.0.self_attn.q";  // diffusers: attn1.to_q
constexpr const char* kUp = "blocks.1.ffn.0";           // diffusers: ffn.net.0.proj

struct Alpha {
  DType dtype = DType::F32;
  std::vector<std::byte> bytes;
  std::vector<std::int64_t> shape;
};

template <typename Number>
Alpha alpha(DType dtype, Number number, std::vector<std::int64_t> shape = {}) {
  std::vector<std::byte> bytes(sizeof number);
  std::memcpy(bytes.data(), &number, sizeof number);
  return {dtype, bytes, std::move(shape)};
}

// A file with kQuery of rank 4 and kUp of rank 8.
struct File {
  Metadata metadata{};
  std::string prefix = "diffusion_model.";
  std::string query = kQuery;
  std::string up = kUp;
  std::pair<std::string, std::string> ends = {".lora_A.weight", ".lora_B.weight"};
  std::optional<Alpha> query_alpha{};
  std::optional<Alpha> up_alpha{};
};

class LoraScaleTest : public ::testing::Test {
 protected:
  void write(const File& file, const std::string& name = "x.safetensors") {
    std::vector<TensorInfo> infos;
    std::string data;
    const auto add = [&](const std::string& key, DType dtype, std::vector<std::int64_t> shape,
                         std::string bytes) {
      infos.push_back({key, dtype, std::move(shape)});
      data += bytes.empty() ? std::string(infos.back().bytes(), '\0') : bytes;
    };
    const auto linear = [&](const std::string& key, std::int64_t rank, std::int64_t out,
                            const std::optional<Alpha>& alpha) {
      add(file.prefix + key + file.ends.first, DType::F32, {rank, 24}, "");
      add(file.prefix + key + file.ends.second, DType::F32, {out, rank}, "");
      if (!alpha) return;
      const std::string bytes(reinterpret_cast<const char*>(alpha->bytes.data()), alpha->bytes.size());
      add(file.prefix + key + ".alpha", alpha->dtype, alpha->shape, bytes);
    };
    linear(file.query, 4, 24, file.query_alpha);
    linear(file.up, 8, 40, file.up_alpha);
    SafetensorsWriter writer(folder / name, infos, file.metadata);
    writer.write(std::as_bytes(std::span(data)));
    writer.finish();
  }
  void config(const std::string& text) { testing::write_bytes(folder / "adapter_config.json", text); }

  LoraFile open(const std::string& name = "x.safetensors") {
    return LoraFile::open(folder / name, spec, Part::Dit);
  }
  // The scales of kQuery and kUp.
  std::pair<double, double> scales(const File& file) {
    write(file);
    const LoraFile lora = open();
    return {lora.pairs().at(kQuery).scale, lora.pairs().at(kUp).scale};
  }
  std::string refused(const File& file) {
    write(file);
    return refusal([&] { open(); });
  }

  TempFolder folder;
  model::NetworkSpec spec = model::dit_spec(kDit, DType::BF16);
};

using Pair = std::pair<double, double>;

File with(Metadata metadata) { return {.metadata = std::move(metadata)}; }
File adapter(const std::string& json) { return with({{"lora_adapter_metadata", json}}); }

TEST_F(LoraScaleTest, AnAlphaTensorOfAnyNumberTypeCounts) {
  const std::vector<Alpha> sixteens = {alpha(DType::I64, std::int64_t{16}),
                                       alpha(DType::I32, std::int32_t{16}),
                                       alpha(DType::I16, std::int16_t{16}),
                                       alpha(DType::I8, std::int8_t{16}),
                                       alpha(DType::U8, std::uint8_t{16}),
                                       alpha(DType::F64, 16.0),
                                       alpha(DType::F32, 16.0F),
                                       alpha(DType::BF16, std::uint16_t{0x4180}),
                                       alpha(DType::F16, std::uint16_t{0x4c00}),
                                       alpha(DType::I64, std::int64_t{16}, {1})};
  for (const Alpha& each : sixteens)
    EXPECT_EQ(scales({.query_alpha = each, .up_alpha = each}), Pair(4, 2)) << name_of(each.dtype);
  EXPECT_THAT(refused({.query_alpha = alpha(DType::Bool, std::uint8_t{1})}), HasSubstr("alpha is bool"));
  const Alpha nan = alpha(DType::F32, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(refused({.query_alpha = nan}), AllOf(HasSubstr("alpha is nan"), HasSubstr("finite")));
  EXPECT_THAT(refused({.query_alpha = alpha(DType::I64, std::int64_t{1} << 60)}),
              AllOf(HasSubstr("alpha"), HasSubstr("10000")));
}

// Types of safetensors in which nothing else is read.
TEST_F(LoraScaleTest, AnAlphaTensorMayBeUnsignedOrE5m2) {
  const auto with_alpha = [&](const std::string& type, const std::string& bytes,
                              const std::string& shape = "[]") {
    const auto zeros = [](std::size_t floats) { return std::string(4 * floats, '\0'); };
    std::string header = "{";
    std::string data;
    const auto add = [&](const std::string& name, const std::string& dtype, const std::string& extents,
                         const std::string& content) {
      header +=
          fmt::format(R"({}"{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", data.empty() ? "" : ",",
                      name, dtype, extents, data.size(), data.size() + content.size());
      data += content;
    };
    add(std::string(kQuery) + ".lora_A.weight", "F32", "[4,24]", zeros(96));
    add(std::string(kQuery) + ".lora_B.weight", "F32", "[24,4]", zeros(96));
    add(std::string(kQuery) + ".alpha", type, shape, bytes);
    testing::write_bytes(folder / "x.safetensors", testing::safetensors_bytes(header + "}", data));
  };
  const auto scale = [&](const std::string& type, const std::string& bytes, const std::string& shape = "[]") {
    with_alpha(type, bytes, shape);
    return open().pairs().at(kQuery).scale;
  };
  using namespace std::string_literals;
  EXPECT_EQ(scale("U16", "\x10\0"s), 4);
  EXPECT_EQ(scale("U16", "\0\x40"s), 4096);
  EXPECT_EQ(scale("U32", "\x10\0\0\0"s), 4);
  EXPECT_EQ(scale("U64", "\x10\0\0\0\0\0\0\0"s), 4);
  EXPECT_EQ(scale("F8_E5M2", "\x4c"), 4);
  EXPECT_EQ(scale("F8_E5M2", "\xcc", "[1]"), -4);
  with_alpha("F8_E5M2", "\x7c");
  EXPECT_THAT(refusal([&] { open(); }), AllOf(HasSubstr("alpha is inf"), HasSubstr("finite")));
  with_alpha("U64", std::string(8, '\xff'));
  EXPECT_THAT(refusal([&] { open(); }), AllOf(HasSubstr("alpha"), HasSubstr("10000")));
  with_alpha("U32", "\x10\0"s);
  EXPECT_THAT(refusal([&] { open(); }), AllOf(HasSubstr("alpha"), HasSubstr("U32 needs 4 bytes")));
  with_alpha("U16", "\x10\0\x10\0"s, "[2]");
  EXPECT_THAT(refusal([&] { open(); }), AllOf(HasSubstr("alpha"), HasSubstr("U16 is not supported")));
  with_alpha("F4", "\x10");
  EXPECT_THAT(refusal([&] { open(); }), AllOf(HasSubstr("alpha"), HasSubstr("F4")));
}

TEST_F(LoraScaleTest, AnAlphaOfZeroIsRefusedWhereverItStands) {
  const Alpha zero = alpha(DType::F32, -0.0F);
  EXPECT_THAT(refused({.query_alpha = zero}),
              AllOf(HasSubstr("alpha"), HasSubstr(kQuery), HasSubstr("is 0")));
  EXPECT_THAT(refused(with({{"alpha", "0"}})), AllOf(HasSubstr("alpha"), HasSubstr("is 0")));
}

TEST_F(LoraScaleTest, TheHeaderSaysItInManySpellings) {
  const std::vector<Metadata> sixteens = {
      {{"lora_alpha", "16"}},
      {{"alpha", "16.0"}},
      {{"network_alpha", "1.6e1"}},
      {{"ss_network_alpha", "16"}},
      {{"transformer.lora_alpha", "16"}},
      {{"lora_adapter_metadata", R"({"transformer.lora_alpha": 16, "transformer.use_rslora": false})"}},
      {{"lora_adapter_metadata",
        R"({"lora_alpha": "16", "peft_type": "LORA", "init_lora_weights": "gaussian"})"}},
      {{"lora_config", R"({"lora_alpha": 16, "target_modules": ["to_q"], "init_lora_weights": true})"}},
      {{"lora_adapter_metadata", R"({"lora_alpha": 16, "text_encoder.lora_alpha": 3, "text_encoder.r": 1})"}},
      {{"adapter_config", R"({"lora_alpha": 16, "peft_type": "LORA", "target_modules": ["q"]})"}},
      {{"peft_config", R"({"lora_alpha": 16, "use_rslora": false})"}},
      {{"config", R"({"lora_alpha": 16})"}},
      {{"alpha", "16"},
       {"lora_alpha", "16.0"},
       {"lora_adapter_metadata", R"({"transformer.lora_alpha": 16})"}}};
  for (const Metadata& each : sixteens) EXPECT_EQ(scales(with(each)), Pair(4, 2)) << each.begin()->first;
  EXPECT_EQ(scales(with({{"lora_alpha", "-16"}})), Pair(-4, -2));
  EXPECT_EQ(scales(with({{"format", "pt"}, {"rank", "8"}})), Pair(1, 1));  // a rank alone is used for nothing
}

// Under a name that is not read.
TEST_F(LoraScaleTest, WhatElseSeemsToSayAScaleIsRefusedByItsName) {
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"loraAlpha", "16"},
      {"LORA_ALPHA", "16"},
      {"lora-alpha", "16"},
      {"networkAlpha", "16"},
      {"networkalpha", "16"},
      {"scale", "0.5"},
      {"lora_scale", "2"},
      {"loraScale", "2"},
      {"LoRA scaling factor", "2"},
      {"scaling", "2.0"},
      {"ss_lora_scale", "2"},
      {"rs_lora", "True"},
      {"ss_rs_lora", "true"},
      {"useRsLoRA", "1"},
      {"rank_stabilized", "true"},
      {"peft_config", R"({"default": {"lora_alpha": 16}})"},
      {"adapter_config", R"({"lora_alpha": 16, "lora_scale": 2})"},
      {"config", R"({"loraAlpha": 16})"},
      {"config", R"({"network": {"alpha": 16, "dim": 4}})"},
      {"hyperparameters", R"([{"lora": "{\"scale\": 0.5}"}])"},
      {"ss_network_args", R"({"alpha": 16, "rs_lora": "True"})"},
      {"ss_network_args", R"({"rs_lora": "True"})"}};
  for (const auto& [name, text] : texts) EXPECT_THAT(refused(with({{name, text}})), HasSubstr(name)) << text;
  EXPECT_THAT(refused(with({{"ss_network_args", R"({"algo": "lora", "rs_lora": "True"})"}})),
              HasSubstr("ss_network_args: rs_lora"));
  // Beside what is known it must say the same.
  const Metadata known = {{"lora_alpha", "16"}};
  const auto beside = [&](const std::string& name, const std::string& text) {
    Metadata metadata = known;
    metadata[name] = text;
    return with(metadata);
  };
  EXPECT_EQ(scales(beside("loraAlpha", "16.0")), Pair(4, 2));
  EXPECT_THAT(refused(beside("loraAlpha", "8")), HasSubstr("loraAlpha"));
  EXPECT_THAT(refused(beside("lora_scale", "0.5")), HasSubstr("lora_scale"));
  EXPECT_THAT(refused(beside("ss_network_args", R"({"rs_lora": true})")), HasSubstr("rs_lora"));
}

// What kohya's programs, musubi-tuner, LyCORIS, ai-toolkit and ComfyUI write.
TEST_F(LoraScaleTest, WhatProgramsWriteAboutTrainingIsLeftAlone) {
  const Metadata training = {
      {"format", "pt"},
      {"name", "style"},
      {"version", "1.0"},
      {"software",
       R"({"name": "ai-toolkit", "repo": "https://github.com/ostris/ai-toolkit", "version": "0.3"})"},
      {"training_info", R"({"step": 2000, "epoch": 4})"},
      {"ss_base_model_version", "wan2.1"},
      {"ss_network_module", "networks.lora_wan"},
      {"ss_scale_weight_norms", "1.5"},
      {"ss_adaptive_noise_scale", "0.05"},
      {"ss_huber_scale", "2.0"},
      {"ss_multiscale_loss_weight", "0.5"},
      {"ss_min_snr_gamma", "5.0"},
      {"ss_optimizer", "transformers.optimization.Adafactor(scale_parameter=False,relative_step=False)"},
      {"ss_network_args",
       R"({"conv_dim": "4", "conv_alpha": "1", "rank_dropout_scale": "True", "rs_lora": "False",
                             "loraplus_lr_ratio": "4", "alpha_mask": "True", "dropout": "0.1"})"},
      {"ss_datasets", R"([{"alpha_mask": true, "subsets": [{"alpha": 3}]}])"},
      {"ss_tag_frequency", R"({"alpha": {"alpha": 12, "scale": 7, "lora scale": 3}})"},
      {"ss_dataset_dirs", R"({"10_alpha": {"n_repeats": 10, "img_count": 4}, "scale": 3})"},
      {"ss_training_comment", "alpha 16 of the scale 2"},
      {"modelspec.description", R"({"scale": 3})"},
      {"sshs_model_hash", "0a1f"},
      {"guidance_scale", "5.0"},
      {"config", R"({"sample": {"guidance_scale": 5, "noise_scale": 2}, "loss_scale": 128, "scale": 1.0})"},
      {"workflow", R"({"extra": {"ds": {"scale": 0.6, "offset": [1, 2]}}})"},
      {"prompt", R"({"3": {"inputs": {"scale": 2, "alpha": 3}}})"}};
  EXPECT_EQ(scales(with(training)), Pair(1, 1));
  for (const auto& each : training) EXPECT_EQ(scales(with({each})), Pair(1, 1)) << each.first;
}

TEST_F(LoraScaleTest, RsloraDividesByTheRoot) {
  const Pair expected(16 / std::sqrt(4), 16 / std::sqrt(8));
  EXPECT_EQ(scales(adapter(R"({"transformer.lora_alpha": 16, "transformer.use_rslora": true})")), expected);
  EXPECT_EQ(scales(with({{"lora_alpha", "16"}, {"use_rslora", "True"}})), expected);
  config(R"({"lora_alpha": 16, "use_rslora": true, "peft_type": "LORA"})");
  EXPECT_EQ(scales({}), expected);
  EXPECT_THAT(refused(adapter(R"({"use_rslora": true})")), HasSubstr("alpha"));
  EXPECT_THAT(refused(with({{"lora_alpha", "16"}, {"use_rslora", "perhaps"}})), HasSubstr("use_rslora"));
}

TEST_F(LoraScaleTest, PatternsCountAsPeftReadsThem) {
  const auto by = [&](const std::string& alphas, const std::string& ranks = "{}") {
    return adapter(R"({"lora_alpha": 8, "alpha_pattern": )" + alphas + R"(, "rank_pattern": )" + ranks + "}");
  };
  EXPECT_EQ(scales(by("{}")), Pair(2, 1));
  EXPECT_EQ(scales(by(R"({"self_attn.q": 16})")), Pair(4, 1));
  EXPECT_EQ(scales(by(R"({"q": 16, "fn.0": 4})")), Pair(4, 1));  // a name's end only after a dot
  EXPECT_EQ(scales(by(R"({"^blocks.1.ffn.0": 16})")), Pair(2, 2));
  EXPECT_EQ(scales(by(R"x({"blocks\\.\\d+\\.(ffn|self_attn)\\.(0|q)": 16})x")), Pair(4, 2));
  EXPECT_EQ(scales(by(R"({"q": 16, "self_attn.q": 32})")),
            Pair(4, 1));  // the first in the file, not the longest
  EXPECT_EQ(scales(by(R"({"self_attn.q": 32, "q": 16})")), Pair(8, 1));
  EXPECT_EQ(scales(by(R"({"attn1.to_q": 16, "ffn.net.0.proj": 16})")), Pair(4, 2));  // diffusers' names
  EXPECT_EQ(scales(by("{}", R"({"q": 4, "ffn.0": 8})")), Pair(2, 1));
  EXPECT_THAT(refused(by("{}", R"({"q": 5})")), AllOf(HasSubstr("rank"), HasSubstr(kQuery), HasSubstr("5")));
  EXPECT_THAT(refused(by(R"({"q": "x"})")), AllOf(HasSubstr("alpha_pattern"), HasSubstr("x")));
  EXPECT_THAT(refused(by(R"x({"(?=q)q": 3})x")), AllOf(HasSubstr("alpha_pattern"), HasSubstr("(?=q)q")));
  EXPECT_EQ(scales(with({{"alpha", "8"}, {"alpha_pattern", R"({"q": 16})"}})), Pair(4, 1));
  write(by(R"({"k": 16})"));
  EXPECT_THAT(open().notes(), ::testing::ElementsAre(HasSubstr("k of alpha_pattern")));
}

// A file with diffusers' names, whose names alone the patterns of its trainer were about.
TEST_F(LoraScaleTest, APatternThatSuitsANameOfTheFileIsNotTriedOnOtherNames) {
  File file = adapter(R"({"lora_alpha": 8, "alpha_pattern": {"0": 16, "ffn.0": 32}})");
  file.query = "blocks.0.attn1.to_out.0";
  file.up = "blocks.1.ffn.net.0.proj";
  write(file);
  const LoraFile lora = open();
  EXPECT_EQ(lora.pairs().at("blocks.0.self_attn.o").scale, 4);
  EXPECT_EQ(lora.pairs().at(kUp).scale, 4);  // by ffn.0, which no name of the file ends in
}

TEST_F(LoraScaleTest, PatternsThatWouldTakeLongAreRefused) {
  const auto many = [&](int count, const std::string& text) {
    std::string patterns;
    for (int i = 0; i < count; ++i) patterns += fmt::format(R"({}"{}{}": 4)", i == 0 ? "" : ",", text, i);
    return adapter(R"({"lora_alpha": 16, "alpha_pattern": {)" + patterns + "}}");
  };
  const auto repeated = [](int times, const char* text) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(scales(many(20, repeated(60, ".{0,99}"))), Pair(4, 0.5));  // ffn.0 ends in 0
  EXPECT_EQ(scales(many(300, "^transformer.blocks.0.attn1.to_q")), Pair(4, 2));
  EXPECT_THAT(refused(many(390, "(" + repeated(245, ".|") + ".)*#")),
              AllOf(HasSubstr("metadata"), HasSubstr("too much work")));
  EXPECT_THAT(refused(many(2000, repeated(20, "attention_"))),
              AllOf(HasSubstr("alpha_pattern"), HasSubstr("characters")));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(12));
}

TEST_F(LoraScaleTest, AConfigBesideTheFileCounts) {
  config(R"({"peft_type": "LORA", "lora_alpha": 16, "bias": "none", "modules_to_save": null})");
  EXPECT_EQ(scales({}), Pair(4, 2));  // the folder's only file
  write({}, "adapter_model.safetensors");
  EXPECT_EQ(open("adapter_model.safetensors").pairs().at(kQuery).scale, 4);
  EXPECT_EQ(open("").path(), folder / "adapter_model.safetensors");  // the folder itself
  EXPECT_EQ(open("").scales()[0].from, "adapter_config.json");
  // Which of the two is it about?
  EXPECT_THAT(refused({}), AllOf(HasSubstr("adapter_config.json"), HasSubstr("another")));
  EXPECT_EQ(scales(with({{"alpha", "4"}})), Pair(1, 0.5));
  const Alpha own = alpha(DType::F32, 4.0F);
  EXPECT_EQ(scales({.query_alpha = own, .up_alpha = own}), Pair(1, 0.5));
  std::filesystem::remove(folder / "adapter_model.safetensors");
  write({}, "mine.sft");  // x.safetensors is the only one called so, and not this one
  EXPECT_THAT(refusal([&] { open("mine.sft"); }),
              AllOf(HasSubstr("mine.sft"), HasSubstr("adapter_config.json"), HasSubstr("another")));
}

TEST_F(LoraScaleTest, ALinkLeadsToTheConfigBesideItsFile) {
  const TempFolder other;
  write({});
  config(R"({"lora_alpha": 16})");
  std::filesystem::create_symlink(folder / "x.safetensors", other / "mine.safetensors");
  EXPECT_EQ(LoraFile::open(other / "mine.safetensors", spec, Part::Dit).pairs().at(kQuery).scale, 4);
}

TEST_F(LoraScaleTest, ALowerSourceIsNotAsked) {
  config("no JSON at all");
  const Alpha own = alpha(DType::I64, std::int64_t{4});
  File file{.metadata = {{"lora_alpha", "nan"}, {"use_dora", "true"}}, .query_alpha = own, .up_alpha = own};
  EXPECT_EQ(scales(file), Pair(1, 0.5));
  std::filesystem::remove(folder / "adapter_config.json");
  file = {.metadata = {{"lora_alpha", "16"}}, .query_alpha = own};
  EXPECT_EQ(scales(file), Pair(1, 2));
  ASSERT_EQ(open().scales().size(), 2U);
  EXPECT_EQ(open().scales()[0].linears, 1);
  EXPECT_THAT(open().scales()[1].from, HasSubstr("lora_alpha"));
}

// musubi-tuner's convert_lora.py multiplies alpha / rank into lora_A and lora_B and keeps the header.
TEST_F(LoraScaleTest, AnAlphaThatAConversionMultipliedInIsNotUsedAgain) {
  const Metadata trained = {{"ss_network_alpha", "16"}, {"ss_network_module", "networks.lora_wan"}};
  EXPECT_EQ(scales(with(trained)), Pair(1, 1));
  EXPECT_THAT(open().notes(), ::testing::ElementsAre(HasSubstr("ss_network_alpha")));
  File file = with(trained);
  file.ends = {".lora_down.weight", ".lora_up.weight"};
  EXPECT_EQ(scales(file), Pair(4, 2));
}

TEST_F(LoraScaleTest, WhatContradictsItselfIsRefused) {
  EXPECT_THAT(refused(with({{"alpha", "16"}, {"lora_alpha", "8"}})),
              AllOf(HasSubstr("metadata"), HasSubstr("alpha")));
  EXPECT_THAT(refused(with({{"alpha", "16"}, {"lora_adapter_metadata", R"({"lora_alpha": 8})"}})),
              HasSubstr("alpha"));
  for (const char* rank : {"r", "rank", "network_dim", "ss_network_dim"})
    EXPECT_THAT(refused(with({{"alpha", "16"}, {rank, "4"}})), AllOf(HasSubstr("rank"), HasSubstr(kUp)));
  EXPECT_THAT(refused(with({{"rank", "5"}})), AllOf(HasSubstr("rank"), HasSubstr("5")));
  EXPECT_THAT(refused(adapter(R"({"lora_alpha": 16, "r": 8})")), AllOf(HasSubstr("rank"), HasSubstr(kQuery)));
  config(R"({"lora_alpha": 16})");
  EXPECT_EQ(scales(with({{"alpha", "16"}})), Pair(4, 2));
  EXPECT_THAT(refused(with({{"alpha", "8"}})),
              AllOf(HasSubstr("metadata"), HasSubstr("adapter_config.json")));
  config(R"({"lora_alpha": 16, "use_rslora": true})");
  EXPECT_THAT(refused(with({{"alpha", "16"}})), HasSubstr("adapter_config.json"));
  config(R"({"lora_alpha": 16, "r": 4})");
  EXPECT_THAT(refused({}), AllOf(HasSubstr("adapter_config.json"), HasSubstr("rank"), HasSubstr("8 rows")));
}

TEST_F(LoraScaleTest, WhatIsNoFiniteNumberIsRefused) {
  for (const char* text : {"", "abc", "nan", "inf", "1e999", "16x", "None", "0", "1e9", "Dynamic"})
    EXPECT_THAT(refused(with({{"lora_alpha", text}})), HasSubstr("alpha")) << text;
  for (const char* value : {"null", "true", "[16]", "{}", "\"\"", "0", "-1e300"}) {
    config(std::string(R"({"lora_alpha": )") + value + "}");
    EXPECT_THAT(refused({}), AllOf(HasSubstr("alpha"), HasSubstr("adapter_config.json"))) << value;
  }
  for (const char* text :
       {"", "[]", "{", R"({"lora_alpha": NaN})", R"({"lora_alpha": 1, "lora_alpha": 2})", "{}"}) {
    config(text);
    EXPECT_THAT(refused({}), HasSubstr("adapter_config.json")) << text;
  }
  config("");
  std::filesystem::remove(folder / "adapter_config.json");
  EXPECT_THAT(refused(adapter("{")), HasSubstr("metadata"));
  EXPECT_THAT(refused(adapter(R"({"r": 4})")), HasSubstr("alpha"));
  EXPECT_THAT(refused(with({{"my_alpha", "16"}})), HasSubstr("my_alpha"));
  EXPECT_THAT(refused(with({{"transformer_2.lora_alpha", "16"}})), HasSubstr("transformer_2"));
}

TEST_F(LoraScaleTest, WhatChangesMoreThanAScaleIsRefusedByItsName) {
  const std::vector<std::pair<std::string, std::string>> members = {
      {"peft_type", R"("LOHA")"},
      {"peft_type", R"("ADALORA")"},
      {"adapter_type", R"("dora-rows")"},
      {"use_dora", "true"},
      {"use_qalora", "true"},
      {"use_bdlora", R"({"nblocks": 2})"},
      {"kasa_config", R"({"beta": 1})"},
      {"init_lora_weights", R"("pissa")"},
      {"init_lora_weights", R"("pissa_niter_16")"},
      {"init_lora_weights", R"("olora")"},
      {"init_lora_weights", R"("loftq")"},
      {"init_lora_weights", R"("corda")"},
      {"init_lora_weights", R"("lora_ga")"},
      {"modules_to_save", R"(["proj_out"])"},
      {"bias", R"("lora_only")"},
      {"lora_bias", "true"},
      {"layer_replication", "[[0, 4]]"},
      {"target_parameters", R"(["weight"])"},
      {"trainable_token_indices", "[1]"},
      {"alora_invocation_tokens", "[1]"},
      {"fan_in_fan_out", "true"},
      {"something_of_next_year", "true"}};
  for (const auto& [name, value] : members) {
    const std::string json = fmt::format(R"({{"lora_alpha": 16, "{}": {}}})", name, value);
    config(json);
    EXPECT_THAT(refused({}), AllOf(HasSubstr("adapter_config.json"), HasSubstr(name))) << value;
    std::filesystem::remove(folder / "adapter_config.json");
    EXPECT_THAT(refused(adapter(json)), AllOf(HasSubstr("metadata"), HasSubstr(name))) << value;
  }
  EXPECT_THAT(refused(with({{"lora_alpha", "16"}, {"use_dora", "True"}})), HasSubstr("use_dora"));
  EXPECT_EQ(scales(adapter(R"({"lora_alpha": 16, "something_of_next_year": null})")), Pair(4, 2));
}

TEST_F(LoraScaleTest, AFolderHasOneLora) {
  EXPECT_THAT(refusal([&] { open(""); }), HasSubstr("no .safetensors"));
  testing::write_bytes(folder / "adapter_model.bin", "x");
  EXPECT_THAT(refusal([&] { open(""); }), HasSubstr("adapter_model.bin"));
  write({});
  EXPECT_EQ(open("").path(), folder / "x.safetensors");
  write({}, "y.safetensors");
  EXPECT_THAT(refusal([&] { open(""); }), AllOf(HasSubstr("x.safetensors"), HasSubstr("y.safetensors")));
  write({}, "adapter_model.safetensors");
  EXPECT_EQ(open("").path(), folder / "adapter_model.safetensors");
  write({}, "adapter_model_2.safetensors");
  EXPECT_THAT(refusal([&] { open(""); }), AllOf(HasSubstr("several"), HasSubstr("adapter_model_2")));
  write({}, "z-00001-of-00002.safetensors");
  EXPECT_THAT(refusal([&] { open("z-00001-of-00002.safetensors"); }), HasSubstr("shard"));
}

TEST_F(LoraScaleTest, AFolderOfTheHubsCacheStandsForItsSnapshot) {
  const TempFolder cache;
  const std::filesystem::path top = std::filesystem::path(cache.path()) / "models--someone--style";
  const std::filesystem::path snapshot = top / "snapshots" / "0123abcd";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(top / "refs");
  testing::write_bytes(top / "refs" / "main", "0123abcd");
  write({});
  config(R"({"lora_alpha": 16})");
  std::filesystem::create_symlink(folder / "x.safetensors", snapshot / "adapter_model.safetensors");
  std::filesystem::create_symlink(folder / "adapter_config.json", snapshot / "adapter_config.json");
  const LoraFile lora = LoraFile::open(top.string(), spec, Part::Dit);
  EXPECT_EQ(lora.path(), snapshot / "adapter_model.safetensors");
  EXPECT_EQ(lora.pairs().at(kQuery).scale, 4);
}

}  // namespace
}  // namespace ferry::checkpoint
