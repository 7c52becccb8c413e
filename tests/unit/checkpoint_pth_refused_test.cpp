// .pth archives that torch.save would never write: each is refused, with the file, the tensor and the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/formats/pth.h"
#include "checkpoint/formats/zip_writer.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TempFolder;

// A whole archive around a pickle.
std::string archive_refused(const std::string& pickle, std::uint64_t storage_bytes = 16) {
  const TempFolder folder;
  const std::string path = folder / "x.pth";
  ZipWriter zip(path);
  zip.add("x/data.pkl", pickle);
  zip.add("x/data/0", std::string(storage_bytes, 'a'));
  zip.finish();
  const std::string message = refusal([&] { open_pth(path); });
  EXPECT_THAT(message, HasSubstr(path));
  return message;
}

// The pickle of {"odd.name": tensor}, each part as pickle bytes.
std::string tensor_pickle(const std::string& numel, const std::string& offset, const std::string& shape,
                          const std::string& strides) {
  const auto text = [](const std::string& value) {
    return std::string("X") + static_cast<char>(value.size()) + std::string(3, '\0') + value;
  };
  return "\x80\x02}" + text("odd.name") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\nFloatStorage\n" + text("0") + text("cpu") + numel + "tQ" + offset + shape + strides +
         "\x89}tRs.";
}

const std::string kOne = std::string("K\x01", 2);
const std::string kFour = std::string("K\x04", 2);
const std::string kZero = std::string("K\x00", 2);

TEST(PthRefused, ViewsBeyondTheirStorage) {
  const std::string huge = std::string("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
  const std::string negative = "J\xff\xff\xff\xff";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {tensor_pickle(kFour, kOne, "(" + kFour + "t", "(" + kOne + "t"), "beyond the 4 elements"},
      {tensor_pickle(kFour, kZero, "(" + kFour + "t", "(" + kFour + "t"), "beyond the 4 elements"},
      {tensor_pickle(kFour, huge, "(" + kOne + "t", "(" + kOne + "t"), "beyond the 4 elements"},
      {tensor_pickle("K\x05", kZero, "(" + kFour + "t", "(" + kOne + "t"),
       "should have 5 elements and has 4"},
      {tensor_pickle(huge, kZero, "(" + kFour + "t", "(" + kOne + "t"), "should have"},
      {tensor_pickle(kFour, kZero, "(" + huge + huge + "t", "(" + kZero + kZero + "t"), "too large"},
      {tensor_pickle(kFour, kZero, "(" + kFour + kFour + "t", "(" + huge + huge + "t"), "too large"},
  };
  for (const auto& [pickle, reason] : cases) {
    EXPECT_THAT(archive_refused(pickle), AllOf(HasSubstr("odd.name"), HasSubstr(reason)));
  }
  EXPECT_THAT(archive_refused(tensor_pickle(kFour, negative, "(" + kOne + "t", "(" + kOne + "t")),
              HasSubstr("offset"));
  EXPECT_THAT(archive_refused(tensor_pickle(kFour, kZero, "(" + negative + "t", "(" + kOne + "t")),
              HasSubstr("size"));
  EXPECT_THAT(archive_refused(tensor_pickle(kFour, kZero, "(" + kFour + "t", "(t")),
              HasSubstr("differ in length"));
}

TEST(PthRefused, PicklesThatMakeNoSense) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "ends too early"},
      {"\x80\x02", "ends too early"},
      {"\x80\x09}.", "protocol 9"},
      {"\x80\x02.", "stack is empty"},
      {"\x80\x02N.", "root is no dict"},
      {"\x80\x02}.", "no tensors"},
      {"\x80\x02}u.", "mark is missing"},
      {"\x80\x02}(Nu.", "has no value"},
      {"\x80\x02](NNu.", "cannot hold"},
      {"\x80\x02h\x05.", "memo 5"},
      {"\x80\x02X\xff\xff\xff\xff"
       "abc.",
       "ends too early"},
      {std::string("\x80\x02X\x01\0\0\0\xff.", 9), "not UTF-8"},
      {"\x80\x02"
       "cposix\nsystem\n.",
       "posix system"},
      {"\x80\x02"
       "cposix",
       "ends too early"},
      {"\x80\x02I1\n.", "opcode 0x49"},
      {"\x80\x02)R.", "stack is empty"},
      {"\x80\x02N)R.", "no function"},
      {"\x80\x02"
       "ctorch\nFloatStorage\n)R.",
       "called as a function"},
      {"\x80\x02NQ.", "no tuple of five"},
      {std::string("\x80\x02\x8a\x09") + std::string(9, 'x') + ".", "root is no dict"},
      {std::string("\x80\x02") + std::string(100'000, '(') + ".", "stack is empty"},
      {std::string("\x80\x02") + std::string(1'100'000, 'N') + ".", "more than 1000000 values"},
  };
  for (const auto& [pickle, reason] : cases)
    EXPECT_THAT(archive_refused(pickle), HasSubstr(reason)) << reason;
}

TEST(PthRefused, NestedTuplesDoNotOverflowTheStack) {
  std::string pickle = "\x80\x02)";
  for (int i = 0; i < 500'000; ++i) pickle += "\x85";
  EXPECT_THAT(archive_refused(pickle + "."), HasSubstr("root is no dict"));
}

// A few bytes may name what is long, or what is there already, again and again.
TEST(PthRefused, PicklesThatGrowInMemory) {
  const std::string long_key = "X\xe9\x03" + std::string(2, '\0') + std::string(1001, 'k');
  const std::string tensor = tensor_pickle(kFour, kZero, "(" + kFour + "t", "(" + kOne + "t");
  std::string named = tensor;
  named.replace(tensor.find("X\x08"), 13, long_key);
  EXPECT_THAT(archive_refused(named), HasSubstr("key has 1001 characters"));
  // A memo in each byte.
  EXPECT_THAT(archive_refused("\x80\x02}" + std::string(1'000'001, '\x94') + "."), HasSubstr("memos"));
  // The same 25 keys and one tensor in 9,000 dicts.
  std::string dicts = tensor.substr(0, tensor.size() - 2) + "q\x7fs" + kZero + "(";
  std::string items;
  for (char i = 0; i < 25; ++i) {
    const std::string place(1, i);
    dicts += std::string("X\x01\0\0\0", 5) + static_cast<char>('a' + i) + "q" + place;
    items += "h" + place + "h\x7fs";
  }
  dicts += "ts";
  for (int i = 0; i < 9000; ++i) dicts += kOne + "}" + items + "s";
  EXPECT_THAT(archive_refused(dicts + "."), HasSubstr("more than 200000 tensors"));
}

TEST(PthRefused, MembersThatLeadOutOfTheArchive) {
  for (const char* name : {"/etc/x", "../x", "x/../../x", ".."}) {
    const TempFolder folder;
    ZipWriter zip(folder / "x.pth");
    zip.add("x/data.pkl", "\x80\x02}.");
    zip.add(name, "a");
    zip.finish();
    EXPECT_THAT(refusal([&] { open_pth(folder / "x.pth"); }), AllOf(HasSubstr(name), HasSubstr("leads out")));
  }
}

TEST(PthRefused, StorageThatIsNotThere) {
  const TempFolder folder;
  ZipWriter zip(folder / "x.pth");
  zip.add("x/data.pkl", tensor_pickle(kFour, kZero, "(" + kFour + "t", "(" + kOne + "t"));
  zip.finish();
  EXPECT_THAT(refusal([&] { open_pth(folder / "x.pth"); }),
              AllOf(HasSubstr("odd.name"), HasSubstr("not in the archive")));
}

TEST(PthRefused, ForeignByteOrderAndRepeatedMembers) {
  const TempFolder folder;
  const std::string good = tensor_pickle(kFour, kZero, "(" + kFour + "t", "(" + kOne + "t");
  {
    ZipWriter zip(folder / "x.pth");
    zip.add("x/data.pkl", good);
    zip.add("x/byteorder", "big");
    zip.finish();
  }
  EXPECT_THAT(refusal([&] { open_pth(folder / "x.pth"); }), HasSubstr("byte order"));
  {
    ZipWriter zip(folder / "y.pth");
    zip.add("x/data.pkl", good);
    zip.add("x/data.pkl", good);
    zip.finish();
  }
  EXPECT_THAT(refusal([&] { open_pth(folder / "y.pth"); }), HasSubstr("two members"));
  {
    ZipWriter zip(folder / "z.pth");
    zip.add("x/other", "1");
    zip.finish();
  }
  EXPECT_THAT(refusal([&] { open_pth(folder / "z.pth"); }), HasSubstr("no data.pkl"));
}

}  // namespace
}  // namespace ferry::checkpoint
