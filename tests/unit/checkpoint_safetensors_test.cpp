// Safetensors files: written, read back, read by Python, and refused when they are damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/formats/safetensors.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Opens a file with this header and data, and returns the message with which it is refused.
std::string refused(const std::string& header, const std::string& data) {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  testing::write_bytes(path, testing::safetensors_bytes(header, data));
  const std::string message = refusal([&] { SafetensorsFile::open(path); });
  EXPECT_THAT(message, HasSubstr(path));
  return message;
}

TEST(Safetensors, WhatIsWrittenIsReadBack) {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  SafetensorsWriter writer(
      path, {{"latents", DType::F32, {2, 3}}, {"frames", DType::U8, {5}}, {"none", DType::F32, {0}}},
      {{"seed", "7"}});
  const std::string data = "0123456789abcdef01234567hello";
  writer.write(bytes_of(data.substr(0, 10)));
  EXPECT_FALSE(std::filesystem::exists(path)) << "the file appears only when it is complete";
  writer.write(bytes_of(data.substr(10)));
  writer.finish();
  const SafetensorsFile file = SafetensorsFile::open(path);
  ASSERT_EQ(file.entries().size(), 3U);
  EXPECT_EQ(file.metadata().at("seed"), "7");
  const TensorEntry& latents = file.at("latents");
  EXPECT_THAT(latents.shape, ElementsAre(2, 3));
  EXPECT_THAT(latents.strides, ElementsAre(3, 1));
  EXPECT_EQ(latents.dtype, DType::F32);
  EXPECT_EQ(std::memcmp(latents.data, data.data(), 24), 0);
  EXPECT_EQ(std::memcmp(file.at("frames").data, "hello", 5), 0);
  EXPECT_EQ(file.at("none").numel(), 0);
}

TEST(Safetensors, HeaderIsPaddedSoThatDataAreAligned) {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde"}) {
    SafetensorsWriter writer(path, {{name, DType::F32, {1}}});
    writer.skip(4);
    writer.finish();
    std::uint64_t header = 0;
    std::memcpy(&header, testing::read_bytes(path).data(), 8);
    EXPECT_EQ(header % 8, 0U);
  }
}

TEST(Safetensors, PythonReadsWhatIsWritten) {
  if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  const TempFolder folder;
  const std::vector<float> values = {1.5F, -2.0F, 3.25F};
  SafetensorsWriter writer(folder / "x.safetensors", {{"a", DType::F32, {3, 1}}, {"b", DType::BF16, {1}}});
  writer.write(std::as_bytes(std::span(values)));
  const std::uint16_t one = 0x3f80;
  writer.write(std::as_bytes(std::span(&one, 1)));
  writer.finish();
  testing::run_python(R"(
import sys, torch
from safetensors.torch import load_file
t = load_file(sys.argv[1])
assert torch.equal(t["a"], torch.tensor([[1.5], [-2.0], [3.25]]))
assert t["b"].dtype == torch.bfloat16 and t["b"].item() == 1
)",
                      {folder / "x.safetensors"});
}

TEST(Safetensors, FileOfPythonIsRead) {
  if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  const TempFolder folder;
  testing::run_python(R"(
import sys, torch
from safetensors.torch import save_file
save_file({"h": torch.arange(6, dtype=torch.float16).view(2, 3), "b": torch.arange(3, dtype=torch.bfloat16),
           "i": torch.tensor([1, 2]), "s": torch.tensor(2.5), "t": torch.tensor([True])}, sys.argv[1], {"who": "py"})
)",
                      {folder / "x.safetensors"});
  const SafetensorsFile file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_EQ(file.metadata().at("who"), "py");
  EXPECT_THAT(file.at("h").shape, ElementsAre(2, 3));
  EXPECT_EQ(file.at("h").dtype, DType::F16);
  EXPECT_EQ(file.at("b").dtype, DType::BF16);
  EXPECT_EQ(file.at("i").dtype, DType::I64);
  EXPECT_EQ(file.at("t").dtype, DType::Bool);
  EXPECT_TRUE(file.at("s").shape.empty());
  float scalar = 0;
  std::memcpy(&scalar, file.at("s").data, 4);
  EXPECT_EQ(scalar, 2.5F);
}

TEST(Safetensors, WriterWithoutFinishLeavesNothing) {
  const TempFolder folder;
  { SafetensorsWriter writer(folder / "x.safetensors", {{"a", DType::F32, {1}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, WriterRefusesTooManyAndTooFewBytes) {
  const TempFolder folder;
  SafetensorsWriter writer(folder / "x.safetensors", {{"a", DType::U8, {3}}});
  EXPECT_THROW(writer.finish(), std::invalid_argument);
  EXPECT_THROW(writer.write(bytes_of("abcd")), std::invalid_argument);
  EXPECT_THROW(SafetensorsWriter(folder / "y.safetensors", {{"a", DType::U8, {1}}, {"a", DType::U8, {1}}}),
               std::invalid_argument);
  EXPECT_THROW(SafetensorsWriter(folder / "y.safetensors", {{"a", DType::U8, {-1}}}), std::invalid_argument);
}

TEST(Safetensors, HoleReadsAsZeros) {
  const TempFolder folder;
  SafetensorsWriter writer(folder / "x.safetensors", {{"a", DType::U8, {100'000'000}}});
  writer.skip(100'000'000);
  writer.finish();
  const SafetensorsFile file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_EQ(file.at("a").data[99'999'999], std::byte{0});
}

TEST(Safetensors, MissingTensorIsNamedWithThoseThatAreThere) {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  testing::write_bytes(
      path, testing::safetensors_bytes(R"({"noisy":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "a"));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.find("noise"), nullptr);
  EXPECT_THAT(refusal([&] { file.at("noise"); }),
              AllOf(HasSubstr(path), HasSubstr("noise"), HasSubstr("noisy")));
}

TEST(Safetensors, UnalignedDataAreRead) {
  const TempFolder folder;
  const float value = 3.5F;
  std::string data(5, 'a');
  std::memcpy(data.data() + 1, &value, 4);
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  testing::write_bytes(folder / "x.safetensors", testing::safetensors_bytes(header, data));
  const SafetensorsFile file = SafetensorsFile::open(folder / "x.safetensors");
  float found = 0;
  read_tensor(file.at("b"), {"b", {1}, DType::F32, model::Layout::Contiguous},
              reinterpret_cast<std::byte*>(&found));
  EXPECT_EQ(found, value);
}

TEST(SafetensorsRefused, ShortFile) {
  const TempFolder folder;
  for (const std::string& bytes : {std::string(), std::string("1234567")}) {
    testing::write_bytes(folder / "x.safetensors", bytes);
    EXPECT_THAT(refusal([&] { SafetensorsFile::open(folder / "x.safetensors"); }),
                HasSubstr("x.safetensors"));
  }
}

TEST(SafetensorsRefused, HeaderBeyondTheFile) {
  const TempFolder folder;
  std::string bytes = testing::safetensors_bytes("{}", "");
  bytes[0] = 100;
  testing::write_bytes(folder / "x.safetensors", bytes);
  EXPECT_THAT(refusal([&] { SafetensorsFile::open(folder / "x.safetensors"); }), HasSubstr("truncated"));
}

TEST(SafetensorsRefused, HeaderOfMoreThan100MB) {
  const TempFolder folder;
  std::string bytes = testing::safetensors_bytes("{}", "");
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = '\xff';
  testing::write_bytes(folder / "x.safetensors", bytes);
  EXPECT_THAT(refusal([&] { SafetensorsFile::open(folder / "x.safetensors"); }), HasSubstr("100 MB"));
}

TEST(SafetensorsRefused, NoJson) {
  EXPECT_THAT(refused("", ""), HasSubstr("does not begin with {"));
  EXPECT_THAT(refused("[1]", ""), HasSubstr("does not begin with {"));
  EXPECT_THAT(refused("{\"a\":", ""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refused("{}x", ""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refused("{\"a\xff\":1}", ""), HasSubstr("no valid JSON"));
  for (const std::string& behind : {std::string(1, '\0'), std::string("\0{\"a\":1}", 8)}) {
    EXPECT_THAT(refused("{}" + behind, ""), HasSubstr("no valid JSON: a zero byte behind 2 bytes"));
  }
}

TEST(SafetensorsRefused, DeepJson) {
  const std::string deep(100'000, '[');
  EXPECT_THAT(refused("{\"a\":" + deep, ""), HasSubstr("deeper"));
}

TEST(SafetensorsRefused, RepeatedName) {
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(refused("{" + one + "," + one + "}", "x"), AllOf(HasSubstr("stands twice"), HasSubstr("a")));
}

TEST(SafetensorsRefused, EveryMemberThatIsWrong) {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"odd.name":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {entry("\"U4\"", "[1]", "[0,1]"), "dtype U4"},
      {entry("7", "[1]", "[0,1]"), "dtype is no text"},
      {entry("\"fp32\"", "[1]", "[0,4]"), "dtype fp32"},
      {entry("\"U8\"", "[-1]", "[0,1]"), "shape is no list"},
      {entry("\"U8\"", "[1.0]", "[0,1]"), "shape is no list"},
      {entry("\"U8\"", "1", "[0,1]"), "shape is no list"},
      {entry("\"U8\"", "[1]", "[0]"), "not two numbers"},
      {entry("\"U8\"", "[1]", "[0,1,2]"), "not two numbers"},
      {entry("\"U8\"", "[1]", "[1,0]"), "run backwards"},
      {entry("\"U8\"", "[1]", "[-1,0]"), "data_offsets is no list"},
      {entry("\"U8\"", "[1]", "[0,18446744073709551615]"), "data_offsets is no list"},
      {entry("\"U8\"", "[9]", "[0,9]"), "ends at byte 9 of 4"},
      {entry("\"U8\"", "[3]", "[0,4]"), "needs 3 bytes"},
      {entry("\"F32\"", "[4]", "[0,4]"), "needs 16 bytes"},
      {entry("\"U8\"", "[4294967296,4294967296]", "[0,4]"), "too large"},
      {entry("\"U8\"", "[1152921504606846976,16]", "[0,4]"), "too large"},
      {entry("\"U8\"", "[0,9223372036854775807,9223372036854775807]", "[0,0]"), "too large"},
      {entry("\"U8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]", "[0,4]"), "16 dimensions"},
      {R"({"odd.name":{"dtype":"U8","shape":[4]}})", "no data_offsets"},
      {R"({"odd.name":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"more":1}})", "other members"},
      {R"({"odd.name":[1]})", "no JSON object"},
  };
  for (const auto& [header, reason] : cases) {
    EXPECT_THAT(refused(header, "data"), AllOf(HasSubstr("odd.name"), HasSubstr(reason))) << header;
  }
}

TEST(SafetensorsRefused, OverlapGapAndRest) {
  const auto two = [](const char* first, const char* second) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(first) +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
  };
  EXPECT_THAT(refused(two("[0,2]", "[1,3]"), "abc"), AllOf(HasSubstr("tensor b"), HasSubstr("overlaps")));
  EXPECT_THAT(refused(two("[0,2]", "[3,5]"), "abcde"), AllOf(HasSubstr("tensor b"), HasSubstr("gap")));
  EXPECT_THAT(refused(two("[2,4]", "[4,6]"), "abcdef"), AllOf(HasSubstr("tensor a"), HasSubstr("gap")));
  EXPECT_THAT(refused(two("[0,2]", "[2,4]"), "abcdef"), HasSubstr("2 bytes after the last tensor"));
}

TEST(SafetensorsRefused, MetadataThatIsNoText) {
  EXPECT_THAT(refused(R"({"__metadata__":{"a":1}})", ""), HasSubstr("__metadata__"));
  EXPECT_THAT(refused(R"({"__metadata__":3})", ""), HasSubstr("__metadata__"));
}

TEST(SafetensorsRefused, NameWithControlCharactersIsShownOnOneLine) {
  const std::string message = refused(R"({"a\nb":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", "ab");
  EXPECT_THAT(message, HasSubstr("a\\x0ab"));
}

}  // namespace
}  // namespace ferry::checkpoint
