// make_model: the same values for every layout, dtype, sharding and thread count; and inspect on what it
// makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/make/make_model.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

MakeModelOptions tiny(const std::string& out) {
  MakeModelOptions options;
  options.out = out;
  return options;
}

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& key) {
  const TensorEntry* entry = checkpoint.find(key);
  if (entry == nullptr) throw std::out_of_range(key);
  std::vector<float> values(static_cast<std::size_t>(entry->numel()));
  read_tensor(*entry, {key, entry->shape, DType::F32, model::Layout::Contiguous},
              reinterpret_cast<std::byte*>(values.data()));
  return values;
}

// Every tensor of every part equals that of another folder.
void expect_equal_weights(const std::string& a, const std::string& b) {
  for (const Part part : {Part::Dit, Part::Vae, Part::TextEncoder}) {
    const Checkpoint first = Checkpoint::open(a, part);
    const Checkpoint second = Checkpoint::open(b, part);
    ASSERT_EQ(first.entries().size(), second.entries().size());
    for (const TensorEntry& entry : first.entries()) {
      EXPECT_EQ(values_of(first, entry.key), values_of(second, entry.key)) << entry.key;
    }
  }
}

TEST(MakeModel, OfficialFolder) {
  const TempFolder folder;
  std::int64_t done = 0;
  const MakeModelResult result = make_model(tiny(folder.path()), [&](const MakeModelProgress& progress) {
    EXPECT_GE(progress.bytes_done, done);
    done = progress.bytes_done;
  });
  EXPECT_EQ(done, result.bytes);
  for (const char* name : {"config.json", "diffusion_pytorch_model.safetensors", "Wan2.1_VAE.pth",
                           "models_t5_umt5-xxl-enc-bf16.pth"}) {
    EXPECT_TRUE(fs::is_regular_file(folder / name)) << name;
  }
  EXPECT_EQ(Checkpoint::open(folder.path(), Part::Dit).entries()[0].dtype, DType::F32);
  EXPECT_EQ(Checkpoint::open(folder.path(), Part::TextEncoder).entries()[0].dtype, DType::BF16);
}

TEST(MakeModel, LayoutShardsAndThreadsDoNotChangeTheValues) {
  const TempFolder folder;
  make_model(tiny(folder / "a"), {});
  MakeModelOptions other = tiny(folder / "b");
  other.layout = KeyLayout::Diffusers;
  other.shard_bytes = 1'000'000;
  other.threads = 3;
  make_model(other, {});
  EXPECT_TRUE(fs::exists(folder / "b/transformer/diffusion_pytorch_model.safetensors.index.json"));
  EXPECT_GT(Checkpoint::open(folder / "b", Part::Dit).files().size(), 5U);
  expect_equal_weights(folder / "a", folder / "b");
}

TEST(MakeModel, SeedAndNameMakeTheValues) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder / "a");
  options.parts = {Part::Dit};
  make_model(options, {});
  options.out = folder / "b";
  options.seed = 1;
  make_model(options, {});
  const Checkpoint a = Checkpoint::open(folder / "a", Part::Dit);
  const Checkpoint b = Checkpoint::open(folder / "b", Part::Dit);
  EXPECT_NE(values_of(a, "blocks.0.ffn.0.weight"), values_of(b, "blocks.0.ffn.0.weight"));
  EXPECT_NE(values_of(a, "blocks.0.ffn.0.weight"), values_of(a, "blocks.1.ffn.0.weight"));
}

TEST(MakeModel, NarrowTypesAreTheRoundedWideOnes) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder / "a");
  options.parts = {Part::Dit};
  make_model(options, {});
  const std::vector<float> wide =
      values_of(Checkpoint::open(folder / "a", Part::Dit), "blocks.0.ffn.0.weight");
  for (const DType dtype : {DType::BF16, DType::F16}) {
    options.out = folder / std::string(name_of(dtype));
    options.dtype = dtype;
    make_model(options, {});
    const Checkpoint narrow = Checkpoint::open(options.out, Part::Dit);
    EXPECT_EQ(narrow.entries()[0].dtype, dtype);
    std::vector<float> rounded = wide;
    std::vector<std::byte> bytes(wide.size() * 2);
    convert(bytes.data(), dtype, wide.data(), DType::F32, wide.size());
    convert(rounded.data(), DType::F32, bytes.data(), dtype, wide.size());
    EXPECT_EQ(values_of(narrow, "blocks.0.ffn.0.weight"), rounded);
  }
}

// Weights of a linear have deviation 1 / sqrt(fan_in), 768 here for ffn.2 with a gain for its residual
// stream.
TEST(MakeModel, MomentsAreAsPlanned) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder.path());
  options.parts = {Part::Dit};
  make_model(options, {});
  const Checkpoint dit = Checkpoint::open(folder.path(), Part::Dit);
  const auto moments = [&](const char* key) {
    double sum = 0;
    double squares = 0;
    const std::vector<float> values = values_of(dit, key);
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const auto count = static_cast<double>(values.size());
    return std::pair{sum / count, std::sqrt(squares / count - sum / count * sum / count)};
  };
  // 147,456 samples: the mean's error is deviation / 384, the deviation's about half of that.
  const auto [mean, deviation] = moments("blocks.0.ffn.2.weight");
  const double planned = 1.0 / std::sqrt(768.0) / std::sqrt(12.0);
  EXPECT_NEAR(mean, 0.0, 4 * planned / 384);
  EXPECT_NEAR(deviation, planned, 0.01 * planned);
  EXPECT_NEAR(moments("blocks.0.norm3.weight").first, 1.0, 0.05);
}

TEST(MakeModel, LayersAndHeads) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder.path());
  options.layers = 9;
  options.heads = 6;
  options.head_dim = 32;
  options.text_layers = 3;
  make_model(options, {});
  const model::DitConfig dit = dit_config(Checkpoint::open(folder.path(), Part::Dit));
  EXPECT_EQ(dit.layers, 9);
  EXPECT_EQ(dit.heads, 6);
  EXPECT_EQ(dit.dim, 192);
  EXPECT_EQ(umt5_config(Checkpoint::open(folder.path(), Part::TextEncoder)).layers, 3);
}

TEST(MakeModel, TorchLoadsWhatIsMade) {
  if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  const TempFolder folder;
  make_model(tiny(folder / "official"), {});
  MakeModelOptions options = tiny(folder / "diffusers");
  options.layout = KeyLayout::Diffusers;
  make_model(options, {});
  testing::run_python(R"(
import sys, torch
vae = torch.load(sys.argv[1] + "/official/Wan2.1_VAE.pth", weights_only=True)
t5 = torch.load(sys.argv[1] + "/official/models_t5_umt5-xxl-enc-bf16.pth", weights_only=True)
assert len(vae) == 194 and len(t5) == 22 and t5["norm.weight"].dtype == torch.bfloat16
from diffusers import WanTransformer3DModel, AutoencoderKLWan
d = sys.argv[1] + "/diffusers"
m, info = WanTransformer3DModel.from_pretrained(d + "/transformer", output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
v, info = AutoencoderKLWan.from_pretrained(d + "/vae", output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
with torch.no_grad():
    x = m(hidden_states=torch.randn(1, 16, 3, 6, 8), timestep=torch.tensor([500]), encoder_hidden_states=torch.randn(1, 32, 128)).sample
    y = v.decode(torch.randn(1, 16, 2, 4, 6)).sample
assert torch.isfinite(x).all() and 0.05 < x.std() < 20, x.std()
assert torch.isfinite(y).all() and 0.01 < y.std() <= 1, y.std()
from transformers import UMT5EncoderModel
t = UMT5EncoderModel.from_pretrained(d + "/text_encoder")
with torch.no_grad(): z = t(input_ids=torch.tensor([[5, 17, 99, 3, 1]])).last_hidden_state.float()
assert torch.isfinite(z).all() and 0.1 < z.std() < 10, z.std()
)",
                      {folder.path()});
}

TEST(MakeModel, SparseFoldersTakeNoDisk) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder.path());
  options.preset = "14B";
  options.sparse = true;
  const MakeModelResult result = make_model(options, {});
  EXPECT_EQ(result.bytes, 57'153'966'336 + 126'892'531 * 4 + 11'361'820'672);
  EXPECT_EQ(Checkpoint::open(folder.path(), Part::Dit).files().size(), 6U) << "as published";
  std::uintmax_t blocks = 0;
  for (const auto& item : fs::directory_iterator(folder.path())) {
    struct stat info = {};
    ASSERT_EQ(::stat(item.path().c_str(), &info), 0);
    blocks += static_cast<std::uintmax_t>(info.st_blocks) * 512;
  }
  EXPECT_LT(blocks, 10'000'000U);
}

TEST(MakeModel, Refusals) {
  const TempFolder folder;
  const auto refused = [&](const std::function<void(MakeModelOptions&)>& change) {
    MakeModelOptions options = tiny(folder / "x");
    change(options);
    return refusal([&] { make_model(options, {}); });
  };
  EXPECT_THAT(refused([](auto& o) { o.preset = "7B"; }), AllOf(HasSubstr("7B"), HasSubstr("1.3B")));
  EXPECT_THAT(refused([](auto& o) { o.layers = 0; }), HasSubstr("layers"));
  EXPECT_THAT(refused([](auto& o) { o.head_dim = 7; }), AllOf(HasSubstr("head_dim"), HasSubstr("even")));
  EXPECT_THAT(refused([](auto& o) { o.preset = "14B", o.heads = 4; }), HasSubstr("heads"));
  EXPECT_THAT(refused([](auto& o) { o.dtype = DType::F8E4M3; }), HasSubstr("fp8"));
  EXPECT_THAT(refused([](auto& o) { o.parts.clear(); }), HasSubstr("parts"));
  EXPECT_THAT(refused([](auto& o) { o.out = ""; }), HasSubstr("folder"));
  EXPECT_THAT(refused([](auto& o) { o.out = "/proc/ferry"; }), HasSubstr("/proc/ferry"));
  EXPECT_FALSE(fs::exists(folder / "x"));
}

TEST(MakeModel, ReplacesOnlyWhenTold) {
  const TempFolder folder;
  MakeModelOptions options = tiny(folder.path());
  options.parts = {Part::Dit};
  options.shard_bytes = 1'000'000;
  make_model(options, {});
  EXPECT_THAT(refusal([&] { make_model(options, {}); }), AllOf(HasSubstr("exists"), HasSubstr("overwrite")));
  options.shard_bytes = 10'000'000'000;
  EXPECT_THAT(refusal([&] { make_model(options, {}); }), HasSubstr("index.json exists"));
  options.overwrite = true;
  options.layers = 3;
  make_model(options, {});
  EXPECT_EQ(dit_config(Checkpoint::open(folder.path(), Part::Dit)).layers, 3) << "the old index is gone";
}

}  // namespace
}  // namespace ferry::checkpoint
