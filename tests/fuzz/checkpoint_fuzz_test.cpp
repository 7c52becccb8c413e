// Damaged files: truncated at every byte, bytes flipped, fields overwritten with extreme numbers, all from
// fixed seeds.  A reader may accept or refuse; it may not crash, read outside the file (tools/asan.sh runs it
// under AddressSanitizer), or throw anything but a UserError.  What it accepts is read to the last element.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/formats/pth.h"
#include "checkpoint/formats/pth_writer.h"
#include "checkpoint/formats/safetensors_header.h"
#include "checkpoint/formats/zip.h"
#include "checkpoint/inspect/inspect.h"
#include "checkpoint/pickle/pickle.h"
#include "tests/unit/checkpoint_quantization_support.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using testing::TempFolder;

// Reads every element, so that a range outside the file would be seen.
void touch(const std::vector<TensorEntry>& entries) {
  std::vector<std::byte> dst;
  for (const TensorEntry& entry : entries) {
    if (entry.numel() > 1'000'000) continue;
    const DType dtype = entry.scale == nullptr ? entry.dtype : DType::F32;
    const model::TensorSpec spec = {entry.key, entry.shape, dtype, model::Layout::Contiguous};
    dst.resize(memory_format(spec).bytes);
    read_tensor(entry, spec, dst.data());
  }
}

// Runs a reader; anything but success and a UserError of one line fails the test.
template <typename Read>
bool accepts(const std::string& bytes, Read read) {
  // A copy of exactly this size: the address sanitizer sees one byte beyond.
  const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(bytes.data()),
                                    reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
  try {
    read(std::span<const std::byte>(copy));
    return true;
  } catch (const UserError& error) {
    EXPECT_EQ(std::strchr(error.what(), '\n'), nullptr) << error.what();
    return false;
  }
}

void read_safetensors(std::span<const std::byte> bytes) {
  touch(parse_safetensors_header(bytes, "file").entries);
}

void read_archive(std::span<const std::byte> bytes) {
  for (const ZipMember& member : read_zip(bytes, "file")) {
    unsigned sum = 0;
    for (const std::byte byte : member.data) sum += static_cast<unsigned>(byte);
    if (member.name.ends_with("data.pkl")) read_pickle(member.data, "file");
    EXPECT_GE(sum, 0U);
  }
}

// Numbers that lengths and offsets are most often wrong about.
constexpr std::array<std::uint64_t, 12> kExtremes = {0,
                                                     1,
                                                     0x7f,
                                                     0xff,
                                                     0x7fff,
                                                     0xffff,
                                                     0x7fffffff,
                                                     0xffffffff,
                                                     0xfffffffe,
                                                     0x100000000,
                                                     0x7fffffffffffffff,
                                                     0xffffffffffffffff};

template <typename Read>
void fuzz(const std::string& good, int rounds, Read read) {
  ASSERT_TRUE(accepts(good, read));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(accepts(good.substr(0, size), read)) << "truncated to " << size;
  }
  std::mt19937_64 random(20210607);
  for (int round = 0; round < rounds; ++round) {
    std::string bad = good;
    const auto changes = 1 + random() % 4;
    for (std::uint64_t i = 0; i < changes; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    accepts(bad, read);
  }
  for (std::size_t at = 0; at + 8 <= good.size(); ++at) {
    std::string bad = good;
    const std::uint64_t extreme = kExtremes[random() % kExtremes.size()];
    std::memcpy(bad.data() + at, &extreme, random() % 2 == 0 ? 4 : 8);
    accepts(bad, read);
  }
}

std::string good_safetensors() {
  return testing::safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]},"none":{"dtype":"I64","shape":[0,2],"data_offsets":[30,30]}})",
      std::string(30, 'x'));
}

std::string good_pth() {
  const TempFolder folder;
  PthWriter writer(folder / "x.pth",
                   {{"a.weight", DType::F32, {2, 3}}, {"b", DType::BF16, {3}}, {"none", DType::F32, {0}}});
  writer.write(std::vector<std::byte>(30, std::byte{'x'}));
  writer.finish();
  return testing::read_bytes(folder / "x.pth");
}

TEST(CheckpointFuzz, Safetensors) { fuzz(good_safetensors(), 20'000, read_safetensors); }

TEST(CheckpointFuzz, ZipArchive) { fuzz(good_pth(), 10'000, read_archive); }

// The pickle alone: a truncated one never reaches its STOP.
TEST(CheckpointFuzz, Pickle) {
  const std::string good =
      pickle_state_dict({{"a.weight", DType::F32, {2, 3}}, {"b", DType::BF16, {3}}, {"c", DType::F16, {}}});
  fuzz(good, 50'000, [](std::span<const std::byte> bytes) { read_pickle(bytes, "file"); });
}

// Opcodes in any order.
TEST(CheckpointFuzz, RandomPickles) {
  const std::string opcodes =
      std::string("\x80\x02(.)tuse}]abqrhjKMJXNQR\x81\x85\x86\x87\x88\x89\x8a\x8c\x94\x95") + '\0';
  std::mt19937_64 random(7);
  for (int round = 0; round < 100'000; ++round) {
    std::string pickle = "\x80\x02";
    for (std::uint64_t i = 0; i < 1 + random() % 40; ++i) pickle += opcodes[random() % opcodes.size()];
    accepts(pickle + ".", [](std::span<const std::byte> bytes) { read_pickle(bytes, "file"); });
  }
}

// Whole files through the mapping, with values moved inside the pickle and the directory.
TEST(CheckpointFuzz, PthFile) {
  const TempFolder folder;
  const std::string good = good_pth();
  std::mt19937_64 random(11);
  for (int round = 0; round < 2'000; ++round) {
    std::string bad = good;
    bad[random() % bad.size()] = static_cast<char>(random());
    testing::write_bytes(folder / "x.pth", bad);
    accepts(bad, [&](std::span<const std::byte>) { touch(open_pth(folder / "x.pth").entries); });
  }
}

// Scales and what is said about them, with bytes changed in the header, the JSON and the values.
TEST(CheckpointFuzz, QuantizedCheckpoint) {
  const TempFolder folder;
  const std::string module = "blocks.0.self_attn.q";
  const std::string good = testing::file_of(
      {testing::fp8_tensor(module + ".weight", {48, 40}),
       testing::scale_tensor(module + ".weight_scale", {48, 1}),
       testing::text_tensor(module + ".comfy_quant", R"({"format": "float8_e4m3fn"})"),
       testing::int8_tensor("blocks.0.self_attn.k.weight", {192, 130}),
       testing::scale_tensor("blocks.0.self_attn.k.weight_scale_inv", {2, 2}, "BF16")},
      R"({"_quantization_metadata":"{\"layers\":{\"blocks.0.self_attn.k\":{\"format\":\"int8_blockwise\"}}}"})");
  const std::string config = R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": null}})";
  const auto open = [&](std::span<const std::byte>) {
    touch(Checkpoint::open(folder.path(), Part::Dit).entries());
  };
  std::mt19937_64 random(17);
  for (int round = 0; round < 1'500; ++round) {
    std::string file = good;
    std::string json = config;
    for (std::uint64_t i = 0; round > 0 && i < 1 + random() % 3; ++i) {
      std::string& bad = random() % 4 == 0 ? json : file;
      // Mostly where something is said, not in the weights.
      const std::size_t end = random() % 8 == 0 ? bad.size() : std::min<std::size_t>(bad.size(), 1100);
      bad[random() % end] = static_cast<char>(random() % 3 == 0 ? random() : ' ' + random() % 95);
    }
    testing::write_bytes(folder / "diffusion_pytorch_model.safetensors", file);
    testing::write_bytes(folder / "config.json", json);
    EXPECT_TRUE(accepts(file, open) || round > 0);
  }
}

// The small model with damaged headers and JSON files: inspect puts every fault into its report.
TEST(CheckpointFuzz, InspectNeverThrows) {
  const TempFolder folder;
  std::filesystem::copy(testing::demo_model(), folder / "model", std::filesystem::copy_options::recursive);
  std::mt19937_64 random(13);
  for (const char* name : {"transformer/config.json", "vae/config.json", "text_encoder/config.json",
                           "text_encoder/model.safetensors", "scheduler/scheduler_config.json"}) {
    const std::string path = folder / (std::string("model/") + name);
    const std::string good = testing::read_bytes(path);
    for (int round = 0; round < 40; ++round) {
      std::string bad = good;
      bad[random() % std::min<std::size_t>(bad.size(), 2500)] = static_cast<char>(random());
      testing::write_bytes(path, bad);
      const InspectReport report = inspect(folder / "model");
      EXPECT_EQ(report.parts.size(), 3U);
      EXPECT_FALSE(to_json(report).empty());
      accepts(bad, [&](std::span<const std::byte>) { scheduler_flow_shift(folder / "model"); });
    }
    testing::write_bytes(path, good);
  }
}

}  // namespace
}  // namespace ferry::checkpoint
