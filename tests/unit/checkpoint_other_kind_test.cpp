// Files that are not what their names say: called by what they are, wherever a file is read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files/other_kind.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/formats/pth.h"
#include "checkpoint/formats/safetensors.h"
#include "model/text/tokenizer.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

const std::string kLfs =
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, '4') + "\nsize 5676070424\n";

// Content, and a word that says what it is.
const std::vector<std::pair<std::string, std::string>>& kinds() {
  using namespace std::string_literals;
  static const std::vector<std::pair<std::string, std::string>> list = {
      {"", "empty"},
      {kLfs, "Git LFS pointer"},
      {kLfs, "git lfs pull"},
      {"\xef\xbb\xbf" + kLfs, "Git LFS pointer"},
      {"# xet version 0\nfilesize = 1\n", "Xet pointer"},
      {"/annex/objects/SHA256E-s1--ab.safetensors\n", "git-annex pointer"},
      {"<!DOCTYPE html><html>" + std::string(500, 'x'), "web page"},
      {"\r\n  <HTML lang=en>sign in", "web page"},
      {"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC><html/>", "web page"},
      {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code></Error>", "XML"},
      {"Invalid username or password.", "Invalid username or password."},
      {"404: Not Found", "404: Not Found"},
      {"GGUF\x03\0\0\0"s + std::string(640, '\0'), "GGUF"},
      {"PK\x03\x04"s + std::string(40, '\0') + "weights.bin", "zip archive"},
      {"PK\x05\x06"s + std::string(18, '\0'), "empty zip archive"},
      {"\x1f\x8b\x08\0"s + std::string(40, 'z'), "gzip"},
      {"BZh91AY&SY" + std::string(40, 'z'), "bzip2"},
      {"\xfd"
       "7zXZ\0\0"s +
           std::string(40, 'z'),
       "xz archive"},
      {"\x28\xb5\x2f\xfd" + std::string(40, 'z'), "zstd"},
      {"7z\xbc\xaf\x27\x1c" + std::string(40, 'z'), "7z"},
      {std::string("model.safetensors") + std::string(240, '\0') + "ustar" + std::string(250, '\0'),
       "tar archive"},
      {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.",
       "before PyTorch 1.6"},
      {"\x80\x04\x95" + std::string(40, '\x01'), "pickle"},
      {"\x89HDF\r\n\x1a\n" + std::string(40, 'z'), "HDF5"},
      {"\x93NUMPY\x01" + std::string(40, 'z'), "NumPy"},
      {"\x89PNG\r\n\x1a\n" + std::string(40, 'z'), "PNG"},
      {"\xff\xfe{\0\"\0"s + std::string(40, '\0'), "UTF-16"},
      {std::string(4096, '\0'), "unfinished download"},
  };
  return list;
}

TEST(OtherKind, IsCalledWhatItIs) {
  for (const auto& [content, word] : kinds()) {
    EXPECT_THAT(other_kind(std::as_bytes(std::span(content))), HasSubstr(word)) << content.substr(0, 40);
  }
}

TEST(OtherKind, UnknownBytesHaveNoName) {
  std::string noise;
  for (int i = 0; i < 300; ++i) noise += static_cast<char>(i * 151 + 200);
  EXPECT_EQ(other_kind(std::as_bytes(std::span(noise))), "");
}

// Every reader says it, with the file's name.
TEST(OtherKind, IsSaidWhereverAFileIsRead) {
  const TempFolder folder;
  for (const auto& [content, word] : kinds()) {
    const auto said = [&](const std::string& name, const std::function<void(const std::string&)>& read) {
      const std::string path = folder / name;
      testing::write_bytes(path, content);
      EXPECT_THAT(refusal([&] { read(path); }), AllOf(HasSubstr(path), HasSubstr(word))) << name;
    };
    said("x.safetensors", [](const std::string& path) { SafetensorsFile::open(path); });
    said("x.json", [](const std::string& path) { read_json_object(path); });
    if (!content.empty()) said("spiece.model", [](const std::string& path) { model::Tokenizer(path, 8); });
    if (!content.starts_with("PK\x03\x04")) said("x.pth", [](const std::string& path) { open_pth(path); });
  }
}

TEST(OtherKind, SafetensorsAndPthUnderEachOthersName) {
  const TempFolder folder;
  const std::string tensors =
      testing::safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  testing::write_bytes(folder / "x.pth", tensors);
  EXPECT_THAT(refusal([&] { open_pth(folder / "x.pth"); }),
              HasSubstr("a safetensors file: its name should end"));
  testing::write_bytes(folder / "y.safetensors",
                       std::string("PK\x03\x04") + std::string(26, '\x01') + "archive/data.pkl");
  EXPECT_THAT(refusal([&] { SafetensorsFile::open(folder / "y.safetensors"); }), HasSubstr(".pth"));
  testing::write_bytes(folder / "z.safetensors", R"({"error":"Repository not found"})");
  EXPECT_THAT(refusal([&] { SafetensorsFile::open(folder / "z.safetensors"); }),
              AllOf(HasSubstr("JSON text"), HasSubstr("Repository not found")));
}

// The reference library reads it as a header without metadata.
TEST(Safetensors, MetadataMayBeNull) {
  const TempFolder folder;
  testing::write_bytes(
      folder / "x.safetensors",
      testing::safetensors_bytes(
          R"({"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  const SafetensorsFile file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_EQ(file.entries().size(), 1U);
  EXPECT_TRUE(file.metadata().empty());
}

}  // namespace
}  // namespace ferry::checkpoint
