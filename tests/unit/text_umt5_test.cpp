#include "model/text/umt5.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "model/shape.h"
#include "tests/support/plain_weights.h"

namespace ferry::model {
namespace {

using testing::PlainWeights;

// The tiny encoder of wan21.md section 13.2.
Umt5Config tiny() {
  return {.vocab = 100, .dim = 64, .attn_dim = 64, .ffn_dim = 128, .heads = 4, .layers = 2, .text_len = 20};
}

const std::vector<std::int64_t> kIds = {5, 17, 99, 3, 42, 1};

PlainWeights golden_weights(DType compute) {
  NetworkSpec spec = umt5_spec(tiny(), compute);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> keys;
  for (const auto* tensor : testing::all_tensors(spec)) keys.emplace_back(tensor->key, tensor->shape);
  EXPECT_EQ(keys.size(), 22u);
  const auto filled = testing::golden_fill(keys);
  return {spec, [&](const TensorSpec& tensor) { return filled.at(tensor.key); }};
}

at::Tensor encode(DType compute, const std::vector<std::int64_t>& ids) {
  PlainWeights weights = golden_weights(compute);
  const auto device = make_cpu_device();
  const std::vector<std::vector<std::int64_t>> prompts = {ids};
  return Umt5Encoder(tiny(), weights, {.device = device.get(), .compute = compute}).encode(prompts).front();
}

TEST(Umt5, SeveralPromptsTogetherGiveTheBitsOfEachAlone) {
  for (const DType compute : {DType::F32, DType::BF16}) {
    PlainWeights weights = golden_weights(compute);
    const auto device = make_cpu_device();
    const std::vector<std::vector<std::int64_t>> prompts = {kIds, {1}, {7, 8, 9, 1}};
    const auto all =
        Umt5Encoder(tiny(), weights, {.device = device.get(), .compute = compute}).encode(prompts);
    ASSERT_EQ(all.size(), prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_TRUE(at::equal(all[i], encode(compute, prompts[i]))) << "prompt " << i;
    }
  }
}

TEST(Umt5, BucketsAreTheTableOfTheReference) {
  const std::vector<std::pair<int, int>> begins = {
      {0, 0},   {7, 7},   {8, 8},   {11, 8},  {12, 9},  {15, 9},  {16, 10}, {22, 10}, {23, 11},
      {31, 11}, {32, 12}, {45, 12}, {46, 13}, {63, 13}, {64, 14}, {90, 14}, {91, 15}, {511, 15}};
  for (const auto& [size, bucket] : begins) {
    EXPECT_EQ(umt5_bucket(-size), bucket) << size;
    EXPECT_EQ(umt5_bucket(size), size == 0 ? 0 : bucket + 16) << size;
  }
}

TEST(Umt5Spec, ListsTheOfficialKeysOfXxl) {
  const NetworkSpec spec = umt5_spec({}, DType::BF16);
  std::int64_t parameters = 0;
  for (const auto* tensor : testing::all_tensors(spec)) {
    parameters += numel(tensor->shape);
    EXPECT_EQ(tensor->dtype, DType::BF16) << tensor->key;
  }
  EXPECT_EQ(testing::all_tensors(spec).size(), 242u);
  EXPECT_EQ(parameters, 5680910336);
  EXPECT_TRUE(spec.head[0].host_only);
  EXPECT_EQ(spec.blocks[23].modules[4].tensors[0].key, "blocks.23.pos_embedding.embedding.weight");
}

TEST(Umt5Spec, RefusesWhatIsNoUmt5) {
  EXPECT_THROW(umt5_spec({}, DType::F16), std::invalid_argument);
  EXPECT_THROW(umt5_spec({.heads = 48}, DType::F32), std::invalid_argument);
  EXPECT_THROW(umt5_spec({.layers = 0}, DType::F32), std::invalid_argument);
  EXPECT_THROW(umt5_spec({.buckets = 64}, DType::F32), UserError);
}

TEST(Umt5, RefusesIdsThatItCannotEncode) {
  EXPECT_THROW(encode(DType::F32, {}), std::invalid_argument);
  EXPECT_THROW(encode(DType::F32, {100, 1}), std::invalid_argument);
  EXPECT_THROW(encode(DType::F32, {-1, 1}), std::invalid_argument);
  EXPECT_THROW(encode(DType::F32, std::vector<std::int64_t>(21, 1)), std::invalid_argument);
}

TEST(Umt5, RefusesWeightsOfAnotherType) {
  PlainWeights weights = golden_weights(DType::F32);
  const auto device = make_cpu_device();
  Umt5Encoder encoder(tiny(), weights, {.device = device.get(), .compute = DType::BF16});
  const std::vector<std::vector<std::int64_t>> prompts = {kIds};
  EXPECT_THROW(encoder.encode(prompts), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::model
