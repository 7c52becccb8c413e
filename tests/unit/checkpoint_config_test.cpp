// Dimensions found in checkpoints, what contradicts them, and validation against a network's spec.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora_config.h"
#include "checkpoint/make/make_model.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

MakeModelOptions sparse(const std::string& out, const std::string& preset) {
  MakeModelOptions options;
  options.out = out;
  options.preset = preset;
  options.sparse = true;
  return options;
}

std::int64_t most_resident_bytes() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return 1024 * usage.ru_maxrss;
}

TEST(JsonFiles, OfManyBytesAreRefusedBeforeTheyAreRead) {
  const TempFolder folder;
  testing::write_bytes(folder / "config.json", "{");
  constexpr std::int64_t kBytes = 2'000'000'000;
  std::filesystem::resize_file(folder / "config.json", kBytes);  // a hole
  const std::int64_t before = most_resident_bytes();
  EXPECT_THAT(refusal([&] { read_json_object(folder / "config.json"); }), HasSubstr("more than 100 MB"));
  EXPECT_THAT(refusal([&] { read_adapter_config(folder / "config.json"); }), HasSubstr("more than 100 MB"));
  EXPECT_LT(most_resident_bytes() - before, kBytes / 2);
}

// A folder with a sparse model, made once for each layout.
class Sparse : public ::testing::TestWithParam<KeyLayout> {
 public:
  MakeModelOptions options(const std::string& preset) const {
    MakeModelOptions options = sparse(folder.path(), preset);
    options.layout = GetParam();
    return options;
  }
  const TempFolder folder;
};
INSTANTIATE_TEST_SUITE_P(Layouts, Sparse, ::testing::Values(KeyLayout::Official, KeyLayout::Diffusers));

TEST_P(Sparse, DimensionsOfEverySizeAreFound) {
  for (const char* preset : {"tiny", "1.3B", "14B"}) {
    MakeModelOptions made = options(preset);
    made.overwrite = true;
    make_model(made, {});
    const ModelConfigs configs = preset_configs(made);
    const Checkpoint dit = Checkpoint::open(folder.path(), Part::Dit);
    EXPECT_EQ(dit.layout(), GetParam());
    EXPECT_EQ(dit_config(dit), configs.dit) << preset;
    EXPECT_EQ(vae_config(Checkpoint::open(folder.path(), Part::Vae)), configs.vae) << preset;
    EXPECT_EQ(umt5_config(Checkpoint::open(folder.path(), Part::TextEncoder)), configs.text) << preset;
  }
}

TEST(Config, DemoModel) {
  const model::DitConfig dit = dit_config(Checkpoint::open(testing::demo_model(), Part::Dit));
  EXPECT_EQ(dit, (model::DitConfig{.dim = 192,
                                   .ffn_dim = 768,
                                   .heads = 4,
                                   .layers = 6,
                                   .in_channels = 16,
                                   .out_channels = 16,
                                   .text_dim = 128,
                                   .text_len = 32,
                                   .freq_dim = 256,
                                   .eps = 1e-6}));
  EXPECT_EQ(dit.head_dim(), 48);
  const model::VaeConfig vae = vae_config(Checkpoint::open(testing::demo_model(), Part::Vae));
  EXPECT_EQ(vae.base_dim, 16);
  EXPECT_EQ(vae.res_blocks, 1);
  EXPECT_EQ(vae.dim_mult, (std::vector<std::int64_t>{1, 2, 4, 4}));
  EXPECT_EQ(vae.temporal_down, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(vae.latents_mean.at(1), -0.421123743057251);
  EXPECT_EQ(vae.latents_std.at(15), 1.559584617614746);
  const model::Umt5Config text = umt5_config(Checkpoint::open(testing::demo_model(), Part::TextEncoder));
  EXPECT_EQ(text, (model::Umt5Config{.vocab = 129,
                                     .dim = 128,
                                     .attn_dim = 128,
                                     .ffn_dim = 256,
                                     .heads = 4,
                                     .layers = 2,
                                     .buckets = 32,
                                     .text_len = 32,
                                     .eps = 1e-6}));
}

// Without a config.json only a width of whole 128-wide heads is understood.
TEST(Config, HeadsWithoutConfigFile) {
  const TempFolder folder;
  MakeModelOptions options = sparse(folder.path(), "tiny");
  options.heads = 2;
  options.head_dim = 128;
  make_model(options, {});
  std::filesystem::remove(folder / "config.json");
  const model::DitConfig found = dit_config(Checkpoint::open(folder.path(), Part::Dit));
  EXPECT_EQ(found.heads, 2);
  EXPECT_EQ(found.text_len, 512);
  options.head_dim = 48;
  options.overwrite = true;
  make_model(options, {});
  std::filesystem::remove(folder / "config.json");
  EXPECT_THAT(refusal([&] { dit_config(Checkpoint::open(folder.path(), Part::Dit)); }),
              AllOf(HasSubstr("96"), HasSubstr("num_heads")));
}

// A tiny diffusers folder whose JSON is then spoiled in one member.
class Contradiction : public ::testing::Test {
 public:
  Contradiction() {
    MakeModelOptions options = sparse(folder.path(), "tiny");
    options.layout = KeyLayout::Diffusers;
    make_model(options, {});
  }
  std::string refused(const std::string& part, const std::string& name, const json& value) {
    const std::string path = folder / (part + "/config.json");
    const std::string good = testing::read_bytes(path);
    json config = json::parse(good);
    config[name] = value;
    testing::write_bytes(path, config.dump());
    const std::string message = refusal([&] {
      if (part == "transformer") dit_config(Checkpoint::open(folder.path(), Part::Dit));
      if (part == "vae") vae_config(Checkpoint::open(folder.path(), Part::Vae));
      if (part == "text_encoder") umt5_config(Checkpoint::open(folder.path(), Part::TextEncoder));
    });
    testing::write_bytes(path, good);
    return message;
  }
  void expect_refused(const std::string& part, const std::string& name, const json& value) {
    EXPECT_THAT(refused(part, name, value), AllOf(HasSubstr(part + "/config.json"), HasSubstr(name)));
  }
  const TempFolder folder;
};

TEST_F(Contradiction, OfTheDit) {
  for (const char* name : {"ffn_dim", "freq_dim", "text_dim", "in_channels", "out_channels", "num_layers",
                           "attention_head_dim"}) {
    expect_refused("transformer", name, 7);
    expect_refused("transformer", name, "7");
    expect_refused("transformer", name, -1);
    expect_refused("transformer", name, 1e30);
  }
  expect_refused("transformer", "patch_size", {1, 2, 4});
  expect_refused("transformer", "cross_attn_norm", false);
  expect_refused("transformer", "eps", 0);
  expect_refused("transformer", "text_len", 100'000);
  EXPECT_THAT(refused("transformer", "num_attention_heads", 5),
              AllOf(HasSubstr("5 heads"), HasSubstr("192")));
  EXPECT_THAT(refused("transformer", "num_layers", 7), AllOf(HasSubstr("num_layers is 7"), HasSubstr("4")));
}

TEST_F(Contradiction, OfTheVae) {
  for (const char* name : {"base_dim", "z_dim", "num_res_blocks", "in_channels"})
    expect_refused("vae", name, 7);
  expect_refused("vae", "dim_mult", {1, 2, 4, 8});
  expect_refused("vae", "temperal_downsample", {true, true, true});
  expect_refused("vae", "latents_mean", {1.0, 2.0});
  expect_refused("vae", "latents_mean", "none");
  for (const double none : {0.0, -1.0, 1e-50, 1e50}) {
    std::vector<double> deviations(16, 1.0);
    deviations[7] = none;
    expect_refused("vae", "latents_std", deviations);
  }
  expect_refused("vae", "latents_mean", std::vector<double>(16, 1e50));
  EXPECT_THAT(refused("vae", "is_residual", true),
              AllOf(HasSubstr("Wan2.2 VAE"), HasSubstr("not supported yet")));
}

TEST_F(Contradiction, OfTheTextEncoder) {
  for (const char* name : {"vocab_size", "d_model", "d_ff", "d_kv", "num_heads", "num_layers",
                           "relative_attention_num_buckets", "relative_attention_max_distance"}) {
    expect_refused("text_encoder", name, 7);
  }
  expect_refused("text_encoder", "feed_forward_proj", "relu");
}

// Zero-sized stand-ins for a network that is not a text-to-video DiT.
std::string dit_refused(const std::vector<TensorInfo>& tensors, const std::string& config) {
  const TempFolder folder;
  SafetensorsWriter writer(folder / "diffusion_pytorch_model.safetensors", tensors);
  for (const TensorInfo& tensor : tensors) writer.skip(tensor.bytes());
  writer.finish();
  if (!config.empty()) testing::write_bytes(folder / "config.json", config);
  return refusal([&] { dit_config(Checkpoint::open(folder.path(), Part::Dit)); });
}

std::vector<TensorInfo> small_dit(std::int64_t in_channels) {
  const DType f = DType::F32;
  return {{"patch_embedding.weight", f, {128, in_channels, 1, 2, 2}},
          {"blocks.0.ffn.0.weight", f, {64, 128}},
          {"text_embedding.0.weight", f, {128, 8}},
          {"time_embedding.0.weight", f, {128, 256}},
          {"head.head.weight", f, {64, 128}}};
}

TEST(Config, NetworksThatAreNotSupportedYet) {
  EXPECT_THAT(dit_refused(small_dit(36), ""),
              AllOf(HasSubstr("image-to-video"), HasSubstr("not supported yet")));
  EXPECT_THAT(dit_refused(small_dit(48), ""), AllOf(HasSubstr("TI2V"), HasSubstr("not supported yet")));
  auto image = small_dit(16);
  image.push_back({"img_emb.proj.0.weight", DType::F32, {8}});
  EXPECT_THAT(dit_refused(image, ""), AllOf(HasSubstr("image-to-video"), HasSubstr("not supported yet")));
  EXPECT_THAT(dit_refused(small_dit(16), R"({"model_type":"vace"})"),
              AllOf(HasSubstr("vace"), HasSubstr("not supported yet")));
}

TEST(Config, TensorThatDetectionNeeds) {
  auto tensors = small_dit(16);
  tensors.erase(tensors.begin() + 3);
  EXPECT_THAT(dit_refused(tensors, ""), AllOf(HasSubstr("time_embedding.0.weight"), HasSubstr("missing")));
  tensors = small_dit(16);
  tensors[0].shape = {128, 16, 2, 2};
  EXPECT_THAT(dit_refused(tensors, ""),
              AllOf(HasSubstr("patch_embedding.weight"), HasSubstr("[128, 16, 2, 2]")));
  tensors[0].shape = {0, 16, 1, 2, 2};
  EXPECT_THAT(dit_refused(tensors, ""), HasSubstr("at least 1"));
}

model::NetworkSpec spec_of(const model::TensorSpec& tensor) {
  model::NetworkSpec spec;
  spec.name = "dit";
  spec.blocks = {{"block", {{"module", model::ModuleKind::Linear, {tensor}, false}}}};
  return spec;
}

TEST(Validate, NamesWhatIsMissingOrWrong) {
  const Checkpoint dit = Checkpoint::open(testing::demo_model(), Part::Dit);
  validate(dit, spec_of({"blocks.5.norm3.weight", {192}, DType::F32, model::Layout::Contiguous}));
  EXPECT_THAT(
      refusal([&] {
        validate(dit, spec_of({"blocks.6.norm3.weight", {192}, DType::F32, model::Layout::Contiguous}));
      }),
      AllOf(HasSubstr("blocks.6.norm3.weight"), HasSubstr("[192]"), HasSubstr("missing"),
            HasSubstr(".safetensors")));
  EXPECT_THAT(
      refusal([&] {
        validate(dit, spec_of({"blocks.5.norm3.weight", {191}, DType::F32, model::Layout::Contiguous}));
      }),
      AllOf(HasSubstr("blocks.5.norm3.weight"), HasSubstr("[192]"), HasSubstr("[191]")));
}

TEST(Validate, RefusesIntegersButNotFp8) {
  const TempFolder folder;
  const std::string path = folder / "diffusion_pytorch_model.safetensors";
  const std::string key = "blocks.0.self_attn.q.weight";
  const auto write = [&](const std::vector<TensorInfo>& tensors) {
    SafetensorsWriter writer(path, tensors);
    for (const TensorInfo& tensor : tensors) writer.skip(tensor.bytes());
    writer.finish();
  };
  const auto check = [&] {
    validate(Checkpoint::open(folder.path(), Part::Dit),
             spec_of({key, {2}, DType::F32, model::Layout::Contiguous}));
  };
  write({{key, DType::I32, {2}}});
  EXPECT_THAT(refusal(check), AllOf(HasSubstr(key), HasSubstr("int32")));
  write({{key, DType::F8E4M3, {2}}});
  check();
}

}  // namespace
}  // namespace ferry::checkpoint
