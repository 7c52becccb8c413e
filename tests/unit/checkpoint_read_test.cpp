// read_tensor: every layout, stride and dtype against a loop that says what should come out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/dtype.h"
#include "checkpoint/checkpoint.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;

using Shape = std::vector<std::int64_t>;

Shape row_major(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// A source of `elements` consecutive numbers in some dtype.
std::vector<std::byte> numbers(std::int64_t elements, DType dtype) {
  std::vector<float> values(static_cast<std::size_t>(elements));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i % 251) - 100);
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  convert(bytes.data(), dtype, values.data(), DType::F32, values.size());
  return bytes;
}

float element(const std::vector<std::byte>& bytes, DType dtype, std::int64_t index) {
  float value = 0;
  convert(&value, DType::F32, bytes.data() + static_cast<std::size_t>(index) * size_of(dtype), dtype, 1);
  return value;
}

// The place of logical index `at` in the memory of a layout, in elements.
std::int64_t place(const Shape& shape, const Shape& at, model::Layout layout) {
  const Shape& s = shape;
  std::int64_t index = at[0];
  const std::size_t first = layout == model::Layout::ChannelsLast ? 2 : 1;
  for (std::size_t i = first; i < s.size(); ++i) index = index * s[i] + at[i];
  return layout == model::Layout::ChannelsLast ? index * s[1] + at[1] : index;
}

void for_each_index(const Shape& shape, const std::function<void(const Shape&)>& visit) {
  Shape at(shape.size(), 0);
  const std::int64_t count =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  for (std::int64_t n = 0; n < count; ++n) {
    visit(at);
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (++at[i] < shape[i]) break;
      at[i] = 0;
    }
  }
}

void check_read(const Shape& shape, const Shape& strides, DType from, DType to, model::Layout layout) {
  std::int64_t extent = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) extent += (shape[i] - 1) * strides[i];
  const std::vector<std::byte> source = numbers(extent, from);
  const TensorEntry entry = {"t", "t", "file", from, shape, strides, source.data()};
  const model::TensorSpec spec = {"t", shape, to, layout};
  const std::size_t bytes = memory_format(spec).bytes;
  std::vector<std::byte> whole(bytes + 1, std::byte{0x5a});
  read_tensor(entry, spec, whole.data());
  EXPECT_EQ(whole.back(), std::byte{0x5a}) << "one byte too many";
  for_each_index(shape, [&](const Shape& at) {
    const std::int64_t index = std::inner_product(at.begin(), at.end(), strides.begin(), std::int64_t{0});
    EXPECT_EQ(element(whole, to, place(shape, at, layout)), element(source, from, index));
  });
  // The same in three ranges of rows, the last first.
  std::vector<std::byte> parts(bytes + 1, std::byte{0x5a});
  const std::int64_t rows = shape[0];
  for (const auto& [begin, end] : {std::pair{rows - rows / 3, rows}, std::pair{std::int64_t{0}, rows / 2},
                                   std::pair{rows / 2, rows - rows / 3}}) {
    read_tensor_rows(entry, spec, parts.data(), begin, end);
  }
  EXPECT_EQ(parts, whole);
}

TEST(ReadTensor, EveryLayoutOfContiguousSources) {
  for (const DType from : {DType::F32, DType::BF16, DType::F16, DType::F64}) {
    for (const DType to : {DType::F32, DType::BF16}) {
      check_read({7}, {1}, from, to, model::Layout::Contiguous);
      check_read({5, 1030}, row_major({5, 1030}), from, to, model::Layout::Contiguous);
      check_read({6, 5, 3, 2}, row_major({6, 5, 3, 2}), from, to, model::Layout::ChannelsLast);
      check_read({6, 5, 3, 2, 2}, row_major({6, 5, 3, 2, 2}), from, to, model::Layout::ChannelsLast);
    }
  }
}

TEST(ReadTensor, StridedSources) {
  check_read({6, 4}, {1, 6}, DType::F32, DType::BF16, model::Layout::Contiguous);     // transposed
  check_read({4, 2500}, {1, 4}, DType::BF16, DType::F32, model::Layout::Contiguous);  // more than one gather
  check_read({4, 3}, {10, 2}, DType::F16, DType::F32, model::Layout::Contiguous);     // steps in both
  check_read({4, 3}, {0, 1}, DType::F32, DType::F32, model::Layout::Contiguous);      // expanded
  check_read({5}, {3}, DType::F64, DType::F32, model::Layout::Contiguous);
  check_read({4, 3, 2, 5}, {30, 1, 15, 3}, DType::F32, DType::F32,
             model::Layout::ChannelsLast);  // already in place
  check_read({4, 3, 2, 2, 5}, {1, 4, 12, 24, 48}, DType::BF16, DType::BF16, model::Layout::ChannelsLast);
}

TEST(ReadTensor, AxesOfOne) {
  check_read({1, 1, 1}, {1, 1, 1}, DType::F32, DType::BF16, model::Layout::Contiguous);
  check_read({3, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, DType::F32, DType::BF16, model::Layout::ChannelsLast);
  check_read({3, 4, 1, 1}, {4, 1, 1, 1}, DType::F32, DType::BF16, model::Layout::ChannelsLast);
  check_read({1, 6, 8}, {48, 8, 1}, DType::F32, DType::F32, model::Layout::Contiguous);
}

TEST(ReadTensor, ScalarsAndEmptyTensors) {
  const float value = 2.5F;
  TensorEntry entry = {"t", "t", "file", DType::F32, {}, {}, reinterpret_cast<const std::byte*>(&value)};
  float found = 0;
  read_tensor(entry, {"t", {}, DType::F32, model::Layout::Contiguous}, reinterpret_cast<std::byte*>(&found));
  EXPECT_EQ(found, 2.5F);
  entry.shape = {0, 3};
  entry.strides = {3, 1};
  read_tensor(entry, {"t", {0, 3}, DType::F32, model::Layout::Contiguous}, nullptr);
}

TEST(ReadTensor, RoundsToNearestEven) {
  // Halfway between two bf16 numbers, once to each side.
  const std::vector<float> values = {1.00390625F, 1.01171875F};
  const TensorEntry entry = {
      "t", "t", "file", DType::F32, {2}, {1}, reinterpret_cast<const std::byte*>(values.data())};
  std::vector<std::uint16_t> found(2);
  read_tensor(entry, {"t", {2}, DType::BF16, model::Layout::Contiguous},
              reinterpret_cast<std::byte*>(found.data()));
  EXPECT_EQ(found[0], 0x3f80);
  EXPECT_EQ(found[1], 0x3f82);
}

TEST(ReadTensor, RefusesWrongShapesAndIntegers) {
  const std::vector<std::byte> source(64);
  TensorEntry entry = {"a.b", "a.b", "some/file", DType::F32, {4, 2}, {2, 1}, source.data()};
  std::vector<std::byte> dst(64);
  EXPECT_THAT(refusal([&] {
                read_tensor(entry, {"a.b", {2, 4}, DType::F32, model::Layout::Contiguous}, dst.data());
              }),
              AllOf(HasSubstr("some/file"), HasSubstr("a.b"), HasSubstr("[4, 2]"), HasSubstr("[2, 4]")));
  entry.dtype = DType::I64;
  EXPECT_THAT(refusal([&] {
                read_tensor(entry, {"a.b", {4, 2}, DType::F32, model::Layout::Contiguous}, dst.data());
              }),
              AllOf(HasSubstr("some/file"), HasSubstr("a.b"), HasSubstr("int64")));
}

TEST(ReadTensor, RefusesRowsOutside) {
  const std::vector<std::byte> source(64);
  const TensorEntry entry = {"t", "t", "file", DType::F32, {4, 2}, {2, 1}, source.data()};
  const model::TensorSpec spec = {"t", {4, 2}, DType::F32, model::Layout::Contiguous};
  std::vector<std::byte> dst(64);
  EXPECT_THROW(read_tensor_rows(entry, spec, dst.data(), -1, 2), std::invalid_argument);
  EXPECT_THROW(read_tensor_rows(entry, spec, dst.data(), 3, 2), std::invalid_argument);
  EXPECT_THROW(read_tensor_rows(entry, spec, dst.data(), 0, 5), std::invalid_argument);
  read_tensor_rows(entry, spec, nullptr, 2, 2);
}

}  // namespace
}  // namespace ferry::checkpoint
