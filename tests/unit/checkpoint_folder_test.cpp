// Finding the files of a model folder, and what is said when they are not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/make/make_model.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

// A file with these tensors, each one zero byte.
void write_file(const std::string& path, const std::vector<std::string>& names) {
  fs::create_directories(fs::path(path).parent_path());
  std::vector<TensorInfo> infos;
  for (const std::string& name : names) infos.push_back({name, DType::U8, {1}});
  SafetensorsWriter writer(path, infos);
  writer.skip(names.size());
  writer.finish();
}

const std::string kQ = "blocks.0.self_attn.q.weight";
const std::string kK = "blocks.0.self_attn.k.weight";

TEST(Folder, OfficialPlaces) {
  const TempFolder folder;
  write_file(folder / "diffusion_pytorch_model.safetensors", {kQ});
  testing::write_bytes(folder / "Wan2.1_VAE.pth", "x");
  testing::write_bytes(folder / "models_t5_umt5-xxl-enc-bf16.pth", "x");
  testing::write_bytes(folder / "google/umt5-xxl/spiece.model", "x");
  testing::write_bytes(folder / "config.json", "{}");
  const PartFiles dit = find_part(folder.path(), Part::Dit);
  EXPECT_THAT(dit.files, ElementsAre(EndsWith("diffusion_pytorch_model.safetensors")));
  EXPECT_THAT(dit.config, EndsWith("config.json"));
  EXPECT_THAT(find_part(folder.path(), Part::Vae).files, ElementsAre(EndsWith("Wan2.1_VAE.pth")));
  EXPECT_EQ(find_part(folder.path(), Part::Vae).config, "") << "that config.json is the DiT's";
  EXPECT_THAT(find_part(folder.path(), Part::TextEncoder).files, ElementsAre(EndsWith("enc-bf16.pth")));
  EXPECT_THAT(find_part(folder.path(), Part::TextEncoder).dit_config, EndsWith("config.json"));
  EXPECT_THAT(find_tokenizer(folder.path()), EndsWith("google/umt5-xxl/spiece.model"));
  EXPECT_EQ(scheduler_flow_shift(folder.path()), std::nullopt);
}

TEST(Folder, SafetensorsBeforePth) {
  const TempFolder folder;
  testing::write_bytes(folder / "Wan2.1_VAE.pth", "x");
  write_file(folder / "Wan2.1_VAE.safetensors", {"decoder.conv1.weight"});
  EXPECT_THAT(find_part(folder.path(), Part::Vae).files, ElementsAre(EndsWith("Wan2.1_VAE.safetensors")));
}

TEST(Folder, DiffusersPlaces) {
  const std::string demo = testing::demo_model();
  EXPECT_THAT(find_part(demo, Part::Dit).config, EndsWith("transformer/config.json"));
  EXPECT_THAT(find_part(demo, Part::Vae).config, EndsWith("vae/config.json"));
  const PartFiles text = find_part(demo, Part::TextEncoder);
  EXPECT_THAT(text.files, ElementsAre(EndsWith("text_encoder/model.safetensors")));
  EXPECT_THAT(text.dit_config, EndsWith("transformer/config.json"));
  EXPECT_THAT(find_tokenizer(demo), EndsWith("tokenizer/spiece.model"));
  EXPECT_EQ(scheduler_flow_shift(demo), 3.0);
}

TEST(Folder, ShardsOfAnIndexAndWithoutOne) {
  const TempFolder folder;
  const std::string stem = "diffusion_pytorch_model";
  write_file(folder / (stem + "-00001-of-00002.safetensors"), {kQ});
  write_file(folder / (stem + "-00002-of-00002.safetensors"), {kK});
  EXPECT_EQ(find_part(folder.path(), Part::Dit).files.size(), 2U);
  EXPECT_NE(Checkpoint::open(folder.path(), Part::Dit).find(kK), nullptr);
  testing::write_bytes(
      folder / (stem + ".safetensors.index.json"),
      R"({"weight_map":{"blocks.0.self_attn.q.weight":"diffusion_pytorch_model-00001-of-00002.safetensors"}})");
  const Checkpoint checkpoint = Checkpoint::open(folder.path(), Part::Dit);
  EXPECT_EQ(checkpoint.entries().size(), 1U) << "the index says what belongs to the model";
}

TEST(Folder, OnlySafetensorsFileOfAnyName) {
  const TempFolder folder;
  write_file(folder / "transformer/wan_bf16.safetensors", {"model.diffusion_model." + kQ});
  EXPECT_NE(Checkpoint::open(folder.path(), Part::Dit).find(kQ), nullptr);
  write_file(folder / "transformer/other.safetensors", {kQ});
  EXPECT_THAT(refusal([&] { find_part(folder.path(), Part::Dit); }),
              AllOf(HasSubstr("wan_bf16"), HasSubstr("no index")));
}

TEST(FolderRefused, MissingFolderAndParts) {
  const TempFolder folder;
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder / "none", Part::Dit); }),
              AllOf(HasSubstr("none"), HasSubstr("does not exist")));
  EXPECT_THAT(refusal([&] { Checkpoint::open("", Part::Dit); }), HasSubstr("does not exist"));
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              AllOf(HasSubstr("no DiT"), HasSubstr("diffusion_pytorch_model")));
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Vae); }),
              AllOf(HasSubstr("no VAE"), HasSubstr("Wan2.1_VAE.pth")));
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::TextEncoder); }),
              AllOf(HasSubstr("no text encoder"), HasSubstr("umt5-xxl")));
  EXPECT_THAT(refusal([&] { find_tokenizer(folder.path()); }), HasSubstr("spiece.model"));
  testing::write_bytes(folder / "file", "x");
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder / "file", Part::Dit); }), HasSubstr("it is a file"));
  fs::create_directories(folder / "transformer");
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              AllOf(HasSubstr("transformer"), HasSubstr("*.safetensors")));
}

TEST(FolderRefused, IndexThatNamesAMissingShard) {
  const TempFolder folder;
  const std::string index = folder / "diffusion_pytorch_model.safetensors.index.json";
  testing::write_bytes(index, R"({"weight_map":{"a":"gone-00001-of-00001.safetensors"}})");
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              AllOf(HasSubstr(index), HasSubstr("gone-00001-of-00001.safetensors")));
}

TEST(FolderRefused, ShardOfASetThatIsMissing) {
  const TempFolder folder;
  write_file(folder / "diffusion_pytorch_model-00002-of-00003.safetensors", {kQ});
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              HasSubstr("00001-of-00003.safetensors: the shard is missing"));
}

TEST(FolderRefused, IndexThatLies) {
  const TempFolder folder;
  const std::string index = folder / "diffusion_pytorch_model.safetensors.index.json";
  write_file(folder / "a.safetensors", {kQ});
  write_file(folder / "b.safetensors", {kK});
  const auto open = [&] { Checkpoint::open(folder.path(), Part::Dit); };
  testing::write_bytes(index, R"({"weight_map":{"blocks.0.self_attn.q.weight":"b.safetensors"}})");
  EXPECT_THAT(refusal(open), AllOf(HasSubstr(index), HasSubstr(kQ), HasSubstr("b.safetensors")));
  for (const char* name :
       {"../a.safetensors", "/a.safetensors", "x/../a.safetensors", "..", ".", "", "a\\u0000"}) {
    testing::write_bytes(index, std::string(R"({"weight_map":{"x":")") + name + R"("}})");
    EXPECT_THAT(refusal(open), HasSubstr("no name of a file")) << name;
  }
  testing::write_bytes(index, R"({"weight_map":{"x":7}})");
  EXPECT_THAT(refusal(open), HasSubstr("no name of a file"));
  testing::write_bytes(index, R"({"weight_map":{}})");
  EXPECT_THAT(refusal(open), HasSubstr("empty"));
  testing::write_bytes(index, R"({"weights":{}})");
  EXPECT_THAT(refusal(open), HasSubstr("no weight_map"));
  testing::write_bytes(index, "[]");
  EXPECT_THAT(refusal(open), HasSubstr("JSON object"));
  testing::write_bytes(index, "{");
  EXPECT_THAT(refusal(open), AllOf(HasSubstr(index), HasSubstr("no valid JSON")));
}

TEST(FolderRefused, TensorInTwoShards) {
  const TempFolder folder;
  write_file(folder / "diffusion_pytorch_model-00001-of-00002.safetensors", {kQ});
  write_file(folder / "diffusion_pytorch_model-00002-of-00002.safetensors", {kQ});
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              AllOf(HasSubstr(kQ), HasSubstr("also in")));
}

TEST(FolderRefused, TwoTensorsForOneName) {
  const TempFolder folder;
  write_file(folder / "diffusion_pytorch_model.safetensors", {kQ, "model." + kQ});
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }),
              AllOf(HasSubstr(kQ), HasSubstr("model." + kQ)));
}

TEST(FolderRefused, FileOfAnotherNetwork) {
  const TempFolder folder;
  write_file(folder / "Wan2.1_VAE.safetensors", {kQ});
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Vae); }),
              AllOf(HasSubstr("no VAE"), HasSubstr(kQ)));
}

TEST(FolderRefused, Wan22) {
  const TempFolder folder;
  testing::write_bytes(folder / "Wan2.2_VAE.pth", "x");
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Vae); }),
              AllOf(HasSubstr("Wan2.2_VAE.pth"), HasSubstr("not supported yet")));
  fs::create_directories(folder / "high_noise_model");
  EXPECT_THAT(refusal([&] { Checkpoint::open(folder.path(), Part::Dit); }), HasSubstr("two experts"));
}

TEST(FolderRefused, SchedulerConfig) {
  const TempFolder folder;
  const std::string path = folder / "scheduler/scheduler_config.json";
  for (const char* value : {"\"3\"", "-1", "0", "[]", "true"}) {
    testing::write_bytes(path, std::string("{\"flow_shift\":") + value + "}");
    EXPECT_THAT(refusal([&] { scheduler_flow_shift(folder.path()); }),
                AllOf(HasSubstr(path), HasSubstr("flow_shift")));
  }
  testing::write_bytes(path, R"({"flow_shift":null,"shift":5})");
  EXPECT_EQ(scheduler_flow_shift(folder.path()), 5.0);
}

}  // namespace
}  // namespace ferry::checkpoint
