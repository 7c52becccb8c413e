// .pth archives, written by torch at test time, and refused when they are damaged or hostile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/formats/crc32.h"
#include "checkpoint/formats/pth.h"
#include "checkpoint/formats/pth_writer.h"
#include "checkpoint/formats/zip.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

const TensorEntry& at(const PthFile& file, const std::string& key) {
  for (const TensorEntry& entry : file.entries) {
    if (entry.key == key) return entry;
  }
  throw std::out_of_range(key);
}

std::vector<float> values_of(const TensorEntry& entry) {
  std::vector<float> values(static_cast<std::size_t>(entry.numel()));
  read_tensor(entry, {entry.key, entry.shape, DType::F32, model::Layout::Contiguous},
              reinterpret_cast<std::byte*>(values.data()));
  return values;
}

constexpr const char* kTorchFiles = R"(
import sys, collections, torch
out = sys.argv[1]
base = torch.arange(24, dtype=torch.float32)
d = collections.OrderedDict()
d["plain"] = base.view(4, 6).clone()
d["transposed"] = base.view(4, 6).t()
d["shared"] = base[6:12]
d["step"] = base[1::5]
d["expanded"] = torch.tensor([7.0]).expand(3)
d["bf16"] = torch.tensor([1.5, -2.25]).bfloat16()
d["fp16"] = torch.tensor([0.5, 65504.0]).half()
d["fp64"] = torch.tensor([1e-3], dtype=torch.float64)
d["long"] = torch.tensor([1, 2, 3])
d["scalar"] = torch.tensor(4.5)
d["empty"] = torch.zeros(0, 5)
d["parameter"] = torch.nn.Parameter(torch.tensor([9.0]))
d._metadata = collections.OrderedDict([("", {"version": 1})])
torch.save(d, out + "/ordered.pth")
torch.save(dict(d), out + "/dict.pth")
torch.save(d, out + "/protocol4.pth", pickle_protocol=4)
torch.save({"epoch": 3, "rate": 0.5, "name": "x", "big": 2**40, "none": None, "list": [1, 2], "w": base}, out + "/mixed.pth")
many = collections.OrderedDict((f"tensor.{i}", torch.full((2,), float(i))) for i in range(700))
torch.save(many, out + "/many.pth")
torch.save(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict(), out + "/module.pth")
)";

// torch takes seconds to start: its files are made once for all tests.
class TorchFiles : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    if (testing::has_python()) testing::run_python(kTorchFiles, {folder_->path()});
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!testing::has_python()) GTEST_SKIP() << "no Python with torch";
  }
  static std::string path(const std::string& name) { return *folder_ / name; }

 private:
  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> TorchFiles::folder_;

void check_values(const PthFile& file) {
  ASSERT_EQ(file.entries.size(), 12U);
  EXPECT_EQ(values_of(at(file, "plain"))[23], 23.0F);
  EXPECT_THAT(at(file, "transposed").shape, ElementsAre(6, 4));
  EXPECT_THAT(at(file, "transposed").strides, ElementsAre(1, 6));
  const std::vector<float> transposed = values_of(at(file, "transposed"));
  for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(transposed[i], static_cast<float>(i % 4 * 6 + i / 4));
  EXPECT_THAT(values_of(at(file, "shared")), ElementsAre(6, 7, 8, 9, 10, 11));
  EXPECT_EQ(at(file, "shared").data, at(file, "transposed").data + 24) << "one storage, two views";
  EXPECT_THAT(values_of(at(file, "step")), ElementsAre(1, 6, 11, 16, 21));
  EXPECT_THAT(values_of(at(file, "expanded")), ElementsAre(7, 7, 7));
  EXPECT_EQ(at(file, "bf16").dtype, DType::BF16);
  EXPECT_THAT(values_of(at(file, "bf16")), ElementsAre(1.5, -2.25));
  EXPECT_THAT(values_of(at(file, "fp16")), ElementsAre(0.5, 65504));
  EXPECT_THAT(values_of(at(file, "fp64")), ElementsAre(1e-3F));
  EXPECT_EQ(at(file, "long").dtype, DType::I64);
  EXPECT_THAT(values_of(at(file, "scalar")), ElementsAre(4.5));
  EXPECT_EQ(at(file, "empty").numel(), 0);
  EXPECT_THAT(values_of(at(file, "parameter")), ElementsAre(9));
}

TEST_F(TorchFiles, OrderedDictWithMetadata) { check_values(open_pth(path("ordered.pth"))); }
TEST_F(TorchFiles, PlainDict) { check_values(open_pth(path("dict.pth"))); }
TEST_F(TorchFiles, ProtocolFour) { check_values(open_pth(path("protocol4.pth"))); }

TEST_F(TorchFiles, ValuesThatAreNoTensorsAreLeftOut) {
  const PthFile file = open_pth(path("mixed.pth"));
  ASSERT_EQ(file.entries.size(), 1U);
  EXPECT_EQ(file.entries[0].key, "w");
}

TEST_F(TorchFiles, MoreThan255MemoEntries) {
  const PthFile file = open_pth(path("many.pth"));
  ASSERT_EQ(file.entries.size(), 700U);
  for (std::size_t i = 0; i < 700; ++i) {
    EXPECT_EQ(file.entries[i].key, "tensor." + std::to_string(i));
    EXPECT_EQ(values_of(file.entries[i])[1], static_cast<float>(i));
  }
}

TEST_F(TorchFiles, StateDictOfAModule) {
  const PthFile file = open_pth(path("module.pth"));
  EXPECT_EQ(file.entries.size(), 7U);
  EXPECT_EQ(at(file, "1.num_batches_tracked").dtype, DType::I64);
}

TEST_F(TorchFiles, HostilePicklesAreRefusedByName) {
  const TempFolder folder;
  testing::run_python(R"(
import sys, os, torch, collections
class Evil:
    def __reduce__(self): return (os.system, ("touch " + sys.argv[1] + "/ran",))
torch.save({"a": torch.zeros(1), "b": Evil()}, sys.argv[1] + "/system.pth")
torch.save(Evil(), sys.argv[1] + "/root.pth")
torch.save(torch.nn.Linear(2, 2), sys.argv[1] + "/module.pth")
class Getter:
    def __reduce__(self): return (getattr, ("text", "upper"))
torch.save({"a": Getter()}, sys.argv[1] + "/getattr.pth", pickle_protocol=4)
torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, sys.argv[1] + "/complex.pth")
)",
                      {folder.path()});
  const std::vector<std::pair<std::string, std::string>> cases = {{"system.pth", "system"},
                                                                  {"root.pth", "system"},
                                                                  {"module.pth", "Linear"},
                                                                  {"getattr.pth", "getattr"},
                                                                  {"complex.pth", "ComplexFloatStorage"}};
  for (const auto& [name, word] : cases) {
    EXPECT_THAT(refusal([&] { open_pth(folder / name); }),
                AllOf(HasSubstr(name), HasSubstr("refused"), HasSubstr(word)));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "ran"));
}

TEST_F(TorchFiles, OldFormatAndCompressedArchivesAreRefused) {
  const TempFolder folder;
  testing::run_python(R"(
import sys, torch, zipfile
torch.save({"a": torch.zeros(1)}, sys.argv[1] + "/old.pth", _use_new_zipfile_serialization=False)
torch.save({"a": torch.zeros(1)}, sys.argv[1] + "/new.pth")
with zipfile.ZipFile(sys.argv[1] + "/new.pth") as i, zipfile.ZipFile(sys.argv[1] + "/deflated.pth", "w", zipfile.ZIP_DEFLATED) as o:
    for n in i.namelist(): o.writestr(n, i.read(n))
with zipfile.ZipFile(sys.argv[1] + "/stored.pth", "w") as o, zipfile.ZipFile(sys.argv[1] + "/new.pth") as i:
    for n in i.namelist(): o.writestr(n, i.read(n))
)",
                      {folder.path()});
  EXPECT_THAT(refusal([&] { open_pth(folder / "old.pth"); }),
              AllOf(HasSubstr("old.pth"), HasSubstr("before PyTorch 1.6")));
  EXPECT_THAT(refusal([&] { open_pth(folder / "deflated.pth"); }),
              AllOf(HasSubstr("deflated.pth"), HasSubstr("compressed")));
  EXPECT_EQ(open_pth(folder / "stored.pth").entries.size(), 1U) << "an archive without alignment or zip64";
}

// What our writer makes, torch and zipfile read, sums included.
TEST_F(TorchFiles, TorchReadsWhatIsWritten) {
  const TempFolder folder;
  PthWriter writer(folder / "x.pth", {{"a.weight", DType::F32, {2, 3}},
                                      {"none", DType::F32, {0, 2}},
                                      {"b", DType::BF16, {3}},
                                      {"zeros", DType::F32, {100'003}},
                                      {"s", DType::F32, {}}});
  const std::vector<float> values = {0, 1, 2, 3, 4, 5};
  writer.write(std::as_bytes(std::span(values)));
  const std::vector<std::uint16_t> ones = {0x3f80, 0x4000, 0x4040};
  writer.write(std::as_bytes(std::span(ones)));
  writer.skip(400'012);
  writer.write(std::as_bytes(std::span(values)).subspan(4, 4));
  writer.finish();
  testing::run_python(R"(
import sys, torch, zipfile
assert zipfile.ZipFile(sys.argv[1]).testzip() is None
for only in (True, False):
    t = torch.load(sys.argv[1], weights_only=only, mmap=not only)
    assert list(t) == ["a.weight", "none", "b", "zeros", "s"] and type(t).__name__ == "OrderedDict"
    assert torch.equal(t["a.weight"], torch.arange(6.).view(2, 3))
    assert t["none"].shape == (0, 2) and t["zeros"].shape == (100003,) and t["zeros"].abs().max() == 0
    assert torch.equal(t["b"], torch.tensor([1., 2., 3.]).bfloat16()) and t["s"].item() == 1
)",
                      {folder / "x.pth"});
  const PthFile file = open_pth(folder / "x.pth");
  EXPECT_THAT(values_of(at(file, "a.weight")), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Pth, PayloadsAreAlignedTo64Bytes) {
  const TempFolder folder;
  PthWriter writer(folder / "x.pth", {{"a", DType::U8, {3}}, {"b", DType::U8, {70}}, {"c", DType::U8, {1}}});
  writer.skip(74);
  writer.finish();
  const std::string bytes = testing::read_bytes(folder / "x.pth");
  const auto members = read_zip(std::as_bytes(std::span(bytes)), "x.pth");
  ASSERT_EQ(members.size(), 6U);
  for (const ZipMember& member : members) {
    EXPECT_EQ((reinterpret_cast<const char*>(member.data.data()) - bytes.data()) % 64, 0) << member.name;
  }
}

// More than 4 GiB in a sparse file: zip64 sizes, offsets and directory.
TEST(Pth, MembersAndOffsetsBeyondFourGigabytes) {
  const TempFolder folder;
  const std::int64_t large = (std::int64_t{1} << 32) + 5;
  PthWriter writer(folder / "x.pth", {{"large", DType::U8, {large}}, {"after", DType::F32, {1}}});
  const std::byte seven{7};
  writer.write({&seven, 1});
  writer.skip(static_cast<std::size_t>(large) - 2);
  writer.write({&seven, 1});
  const float value = 1.25F;
  writer.write(std::as_bytes(std::span(&value, 1)));
  writer.finish();
  const PthFile file = open_pth(folder / "x.pth");
  EXPECT_THAT(at(file, "large").shape, ElementsAre(large));
  EXPECT_EQ(at(file, "large").data[large - 1], seven);
  EXPECT_THAT(values_of(at(file, "after")), ElementsAre(1.25F));
  if (!testing::has_python()) return;
  testing::run_python(R"(
import sys, torch
t = torch.load(sys.argv[1], mmap=True)
assert t["large"].shape == (2**32 + 5,) and t["large"][-1] == 7 and t["after"].item() == 1.25
)",
                      {folder / "x.pth"});
}

TEST(Pth, ChecksumOfZerosIsThatOfTheirBytes) {
  const std::string check = "123456789";
  EXPECT_EQ(crc32(0, std::as_bytes(std::span(check))), 0xcbf43926U);
  for (const std::size_t count : {0U, 1U, 15U, 16U, 1000U, 65537U}) {
    const std::vector<std::byte> zeros(count);
    EXPECT_EQ(crc32_zeros(0x1234567, count), crc32(0x1234567, zeros)) << count;
  }
}

}  // namespace
}  // namespace ferry::checkpoint
