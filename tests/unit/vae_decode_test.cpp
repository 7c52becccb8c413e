#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "model/vae/vae.h"
#include "tests/support/plain_weights.h"
#include "tests/support/vae_weights.h"
#include "tests/unit/vae_reference.h"

namespace ferry::testing {
namespace {

using model::VaeConfig;
using ::testing::DoubleNear;
using ::testing::ElementsAre;

VaeConfig golden_config() { return vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2); }

PlainWeights plain(const VaeConfig& config, const Tensors& tensors, DType compute = DType::F32) {
  return {model::vae_decoder_spec(config, compute),
          [&](const model::TensorSpec& spec) { return tensors.at(spec.key); }};
}

at::Tensor decode(const VaeConfig& config, model::Weights& weights, const at::Tensor& latent,
                  DType compute = DType::F32) {
  const auto device = make_cpu_device();
  std::vector<at::Tensor> parts;
  model::VaeDecoder decoder(config, weights, {device.get(), compute});
  decoder.decode(latent, [&](int64_t, const at::Tensor& frames) { parts.push_back(frames); });
  return at::cat(parts, 1);
}

double relative_l2(const at::Tensor& actual, const at::Tensor& wanted) {
  const at::Tensor difference = actual.to(at::kDouble) - wanted;
  return (at::linalg_vector_norm(difference) / at::linalg_vector_norm(wanted)).item<double>();
}

struct Case {
  const char* name;
  VaeConfig config;
  std::vector<int64_t> latent;  // T, h, w
};

class VaeAgainstReference : public ::testing::TestWithParam<Case> {};

// Plain fp32 is within 1e-6 of fp64 with these weights; a frame in the wrong place gives 0.1 and more.
TEST_P(VaeAgainstReference, ChunksWithCachesEqualTheFullSequence) {
  const auto& [name, config, shape] = GetParam();
  const Tensors tensors = random_weights(config);
  PlainWeights weights = plain(config, tensors);
  const at::Tensor latent = golden_input({config.z_dim, shape[0], shape[1], shape[2]}, 0.7, 0.37);
  const at::Tensor frames = decode(config, weights, latent);
  const at::Tensor wanted = reference_decode(config, tensors, latent, at::kDouble);
  ASSERT_EQ(frames.sizes(), wanted.sizes());
  ASSERT_EQ(frames.size(1), 1 + (shape[0] - 1) * model::temporal_scale(config));
  ASSERT_EQ(frames.size(2), shape[1] * model::spatial_scale(config));
  for (int64_t frame = 0; frame < frames.size(1); ++frame) {
    EXPECT_LT(relative_l2(frames.select(1, frame), wanted.select(1, frame)), 3e-6) << "frame " << frame;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, VaeAgainstReference,
    ::testing::Values(
        Case{"one_latent_frame", golden_config(), {1, 4, 6}},
        Case{"two_latent_frames", golden_config(), {2, 3, 2}}, Case{"three_odd", golden_config(), {3, 3, 5}},
        Case{"five", golden_config(), {5, 2, 3}}, Case{"one_pixel", golden_config(), {3, 1, 1}},
        Case{"one_block_a_stage", vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 1), {3, 3, 4}},
        Case{"odd_half_widths", vae_config_of(6, {1, 3, 5}, {true, true}, 1, 4), {4, 3, 3}},
        Case{"time_first", vae_config_of(8, {1, 2, 2, 4}, {true, false, true}, 0, 16), {3, 2, 3}},
        Case{"space_alone", vae_config_of(12, {2, 1}, {false}, 2, 3), {3, 5, 3}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(VaeDecode, SinkReceivesEachChunkInOrder) {
  const VaeConfig config = golden_config();
  PlainWeights weights = plain(config, golden_fill(vae_keys(config)));
  const auto device = make_cpu_device();
  std::vector<int64_t> first;
  std::vector<std::vector<int64_t>> shapes;
  model::VaeDecoder decoder(config, weights, {device.get()});
  decoder.decode(golden_input({16, 3, 1, 2}, 0.1, 0.2), [&](int64_t frame, const at::Tensor& frames) {
    first.push_back(frame);
    shapes.push_back(frames.sizes().vec());
  });
  EXPECT_THAT(first, ElementsAre(0, 1, 5));
  EXPECT_THAT(shapes,
              ElementsAre(ElementsAre(3, 1, 8, 16), ElementsAre(3, 4, 8, 16), ElementsAre(3, 4, 8, 16)));
}

// Notes the order of calls, which offloading strategies rely on.
class Recorder : public PlainWeights {
 public:
  using PlainWeights::PlainWeights;
  void begin(const model::PassKey& key) override { calls.push_back(key.kind); }
  void end() override { calls.push_back("end"); }
  void acquire_block(int block) override { blocks.push_back(block); }
  model::ModuleView acquire(model::ModuleId id) override {
    if (id.block >= 0) {
      EXPECT_EQ(id.block, blocks.back()) << "module of a block that is not held";
    }
    modules[calls.back()].push_back(model::module_of(spec(), id).name);
    return PlainWeights::acquire(id);
  }
  std::vector<std::string> calls;
  std::vector<int> blocks;
  std::map<std::string, std::vector<std::string>> modules;  // by kind of pass
};

TEST(VaeDecode, PassesFollowTheSpecAndTheFirstUsesNoTimeConvolution) {
  const VaeConfig config = golden_config();
  const Tensors tensors = golden_fill(vae_keys(config));
  Recorder weights(model::vae_decoder_spec(config, DType::F32),
                   [&](const model::TensorSpec& spec) { return tensors.at(spec.key); });
  decode(config, weights, golden_input({16, 2, 1, 1}, 0.1, 0.2));
  EXPECT_THAT(weights.calls, ElementsAre("decode.first", "end", "decode.next", "end"));
  const size_t count = weights.spec().blocks.size();
  ASSERT_EQ(weights.blocks.size(), 2 * count);
  for (size_t i = 0; i < weights.blocks.size(); ++i)
    EXPECT_EQ(weights.blocks[i], static_cast<int>(i % count));
  // The next pass uses every module once, the first all but the two time convolutions.
  const auto& first = weights.modules["decode.first"];
  const auto& next = weights.modules["decode.next"];
  EXPECT_EQ(next.size(), std::set<std::string>(next.begin(), next.end()).size());
  EXPECT_EQ(first.size() + 2, next.size());
  for (const auto& name : first) EXPECT_EQ(name.find("time_conv"), std::string::npos);
}

TEST(VaeDecode, RefusesALatentOfAnotherShapeOrType) {
  const VaeConfig config = golden_config();
  PlainWeights weights = plain(config, golden_fill(vae_keys(config)));
  const at::Tensor latent = golden_input({16, 1, 2, 2}, 0.1, 0.2);
  EXPECT_THROW(decode(config, weights, latent.narrow(0, 0, 15)), std::invalid_argument);
  EXPECT_THROW(decode(config, weights, latent.to(at::kBFloat16)), std::invalid_argument);
  EXPECT_THROW(decode(config, weights, latent[0]), std::invalid_argument);
  EXPECT_THROW(decode(config, weights, latent.narrow(1, 0, 0)), std::invalid_argument);
  VaeConfig without = config;
  without.latents_mean.clear();
  EXPECT_THROW(decode(without, weights, latent), std::invalid_argument);
}

// The error of the bf16 option is stated as this.
TEST(VaeDecode, Bf16IsWithin45DecibelsOfFp32OnTheDemoModel) {
  const std::string folder = std::string(std::getenv("FERRY_SOURCE_DIR")) + "/models/demo";
  const VaeFolder wide(folder, DType::F32);
  const VaeFolder narrow(folder, DType::BF16);
  const at::Tensor latent = smooth_latent(wide.config.z_dim);
  const at::Tensor wanted = decode(wide.config, *wide.weights, latent);
  const at::Tensor found = decode(narrow.config, *narrow.weights, latent, DType::BF16);
  EXPECT_GE(psnr_db(found, wanted), 45.0);
  EXPECT_FALSE(found.equal(wanted)) << "nothing ran in bf16";
  EXPECT_GT(wanted.clamp(-1, 1).std().item<double>(), 0.1) << "a picture with contents";
}

TEST(VaeSpec, NamesEveryDecoderTensorOnce) {
  for (const VaeConfig& config : {golden_config(), vae_config_of(6, {1, 3, 5}, {true, false}, 1, 4)}) {
    const model::NetworkSpec spec = model::vae_decoder_spec(config, DType::F32);
    std::map<std::string, std::vector<int64_t>> named;
    for (const auto* tensor : all_tensors(spec)) {
      EXPECT_TRUE(named.emplace(tensor->key, tensor->shape).second) << tensor->key;
    }
    std::map<std::string, std::vector<int64_t>> wanted;
    for (const auto& [key, shape] : vae_keys(config)) {
      if (key.starts_with("decoder.") || key.starts_with("conv2.")) wanted.emplace(key, shape);
    }
    EXPECT_EQ(named, wanted);
  }
}

TEST(VaeSpec, KeepsNormsAndBothEndsInFp32) {
  const model::NetworkSpec spec = model::vae_decoder_spec(golden_config(), DType::BF16);
  for (const auto* tensor : all_tensors(spec)) {
    const bool end = tensor->key.starts_with("conv2.") || tensor->key.starts_with("decoder.head.");
    const bool fp32 = end || tensor->key.ends_with(".gamma");
    EXPECT_EQ(tensor->dtype, fp32 ? DType::F32 : DType::BF16) << tensor->key;
  }
  EXPECT_THROW(model::vae_decoder_spec(golden_config(), DType::F16), std::invalid_argument);
}

TEST(VaeSpec, RefusesConfigurationsThatMakeNoNetwork) {
  const auto spec = [](const VaeConfig& config) { return model::vae_decoder_spec(config, DType::F32); };
  EXPECT_THROW(spec(vae_config_of(16, {1, 2}, {true, true}, 1)), std::invalid_argument);
  EXPECT_THROW(spec(vae_config_of(5, {1, 1}, {true}, 1)), std::invalid_argument);
  EXPECT_THROW(spec(vae_config_of(16, {}, {}, 1)), std::invalid_argument);
  EXPECT_THROW(spec(vae_config_of(16, {1}, {}, -1)), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::testing
