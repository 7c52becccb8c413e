// Looks for values that are not finite, and what is said about where they began.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "tests/support/plain_weights.h"
#include "worker/stages/not_finite.h"

namespace ferry::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kHead = model::ModuleId::kHead;

at::Tensor with(double bad, at::ScalarType type = at::kFloat) {
  at::Tensor values = at::ones({3, 5}, type);
  values[1][2] = bad;
  return values;
}

TEST(FiniteFlags, EachLookHasItsOwnAnswer) {
  const auto device = make_cpu_device();
  FiniteFlags flags(*device, 4);
  flags.look(0, with(1));
  flags.look(1, with(kNan));
  flags.look(3, with(-kInfinity));
  device->compute().synchronize();
  EXPECT_TRUE(flags.finite(0));
  EXPECT_FALSE(flags.finite(1));
  EXPECT_TRUE(flags.finite(2));
  EXPECT_FALSE(flags.finite(3));
  EXPECT_THROW(flags.look(4, with(1)), std::out_of_range);
}

TEST(FiniteFlags, AnyFloatTypeAndAnyStrides) {
  const auto device = make_cpu_device();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    EXPECT_TRUE(all_finite(*device, with(2, type)));
    EXPECT_FALSE(all_finite(*device, with(kInfinity, type)));
    EXPECT_FALSE(all_finite(*device, with(kNan, type).t()));
    EXPECT_TRUE(all_finite(*device, with(kNan, type)[0]));
  }
}

TEST(FiniteTrail, TheFirstPartInOrderIsNamedWithItsTurn) {
  const auto device = make_cpu_device();
  FiniteTrail trail(*device, 8);
  const model::Tap tap = trail.tap();
  tap("ffn", 0, with(1));
  EXPECT_FALSE(trail.first().has_value());
  tap("ffn", 0, with(1));
  tap("attn", 1, with(kNan));
  tap("ffn", 0, with(kNan));
  ASSERT_TRUE(trail.first().has_value());
  EXPECT_EQ(trail.first()->part, "attn");
  EXPECT_EQ(trail.first()->block, 1);
  EXPECT_EQ(trail.first()->turn, 0);
  FiniteTrail other(*device, 2, 1);
  other.look("ffn", 0, with(1));
  other.look("ffn", 0, with(kInfinity));
  EXPECT_EQ(other.first()->turn, 2);
}

model::ModuleSpec linear(const std::string& name) {
  return {.name = name,
          .kind = model::ModuleKind::Linear,
          .tensors = {{name + ".weight", {4, 4}, DType::BF16}, {name + ".bias", {4}, DType::F32}}};
}

// Weights of ones, but for the keys that hold `bad`.
testing::PlainWeights weights(const std::vector<std::string>& bad) {
  const model::NetworkSpec spec{.name = "toy",
                                .head = {linear("embed")},
                                .blocks = {{"blocks.0", {linear("blocks.0.q"), linear("blocks.0.o")}},
                                           {"blocks.1", {linear("blocks.1.q"), linear("blocks.1.o")}}},
                                .tail = {linear("out")}};
  return testing::PlainWeights(spec, [&](const model::TensorSpec& tensor) {
    const bool damaged = std::find(bad.begin(), bad.end(), tensor.key) != bad.end();
    return at::full(tensor.shape, damaged ? kNan : 1.0);
  });
}

TEST(BegunAt, NamesPlaceAndTensor) {
  auto damaged = weights({"blocks.1.o.weight", "blocks.0.q.bias"});
  EXPECT_EQ(begun_at(Place{"ffn", 1, 0}, "the prompt", damaged),
            "first in block 1 (blocks.1 ffn) for the prompt, where blocks.1.o.weight is not finite");
  EXPECT_EQ(begun_at(Place{"block", 0, 0}, "", damaged),
            "first in block 0 (blocks.0), where blocks.0.q.bias is not finite");
  EXPECT_EQ(begun_at(Place{"embedding", kHead, 0}, "", damaged),
            "first in embedding, whose weights are finite");
}

TEST(BegunAt, SaysWhenNothingIsFoundAndDoesNotListEverything) {
  auto damaged = weights({"blocks.1.q.weight", "blocks.1.q.bias", "blocks.1.o.weight", "blocks.1.o.bias"});
  EXPECT_THAT(begun_at({}, "", damaged), HasSubstr("finite"));
  EXPECT_THAT(begun_at({}, "", damaged), Not(HasSubstr("block")));
  EXPECT_THAT(begun_at(Place{"ffn", 1, 0}, "", damaged),
              HasSubstr("blocks.1.o.weight and 1 more are not finite"));
}

}  // namespace
}  // namespace ferry::worker
