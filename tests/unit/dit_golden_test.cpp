// The golden vectors of wan21.md section 13.1, T2V, fp32, on the device of the program.
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/dit/rope.h"
#include "model/kernels/sinusoid.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/device_fixture.h"
#include "tests/unit/dit_support.h"

namespace ferry::testing {
namespace {

// Section 13 asks for about 1e-4 relative per value and 1e-5 on the norm.
constexpr double kValue = 1e-4;
constexpr double kNorm = 1e-5;

struct Golden {
  std::vector<double> first;
  double norm = 0;
};

void expect_golden(const at::Tensor& value, const Golden& golden, const std::string& name) {
  const at::Tensor flat = value.cpu().to(at::kDouble).flatten();
  for (std::size_t i = 0; i < golden.first.size(); ++i) {
    const double wanted = golden.first[i];
    EXPECT_NEAR(flat[static_cast<std::int64_t>(i)].item<double>(), wanted, kValue * std::abs(wanted) + 1e-6)
        << name << " element " << i;
  }
  if (golden.norm > 0) {
    EXPECT_NEAR(l2(value) / golden.norm, 1.0, kNorm) << name;
  }
}

class DitGolden : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (!has_device()) return;
    const model::TorchStream on(device());
    const at::Device place = model::torch_device(device());
    model::DitRuntime runtime = {.device = &device(), .compute = DType::F32};
    runtime.tap = [this](std::string_view name, int block, const at::Tensor& value) {
      taps_[std::string(name) + (block < 0 ? "" : std::to_string(block))] = value.clone();
    };
    weights_ = golden_weights(golden_config(), DType::F32, place);
    model::Dit dit(golden_config(), *weights_, runtime);
    model::DitContext context = dit.encode_context(golden_input({7, 64}, 0.2, 0.05));
    model::DitContext* branches[] = {&context};
    final_ = dit.forward(golden_input({16, 3, 4, 6}, 0.3, 0.11).to(place), 875, branches).at(0);
    device().compute().synchronize();
  }

  std::unique_ptr<PlainWeights> weights_;
  std::map<std::string, at::Tensor> taps_;
  at::Tensor final_;
};

TEST_F(DitGolden, EmbeddingsMatch) {
  // The reference lists patch embeddings channel-major; ours are token-major.
  expect_golden(taps_.at("patch_embedding").t(),
                {{-0.01111199, -0.03537344, -0.0579867, -0.1124061}, 5.0282539}, "patch_embedding");
  expect_golden(taps_.at("time_embedding"), {{-2.587411, 2.512573, -2.305192, 2.062585}, 29.724515}, "e");
  expect_golden(taps_.at("time_projection"), {{-0.009281696, -0.888114, 1.698457, -2.506955}, 129.89231},
                "e0");
  expect_golden(taps_.at("text_embedding"), {{3.396016, -2.988621, 2.456576, -1.859524}, 110.19497}, "text");
  expect_golden(taps_.at("text_embedding")[7], {{-0.03916255, 0.03854588, -0.05769274, 0.05473721}},
                "padding row");
}

TEST_F(DitGolden, PartsOfTheFirstBlockMatch) {
  // Rotation leaves the norm and token 0 (angle 0) as they are, so the tap after it has both.
  expect_golden(taps_.at("self_attn.q0"), {{0.5252461, -0.3169192, -0.02606123, 0.2432775}, 64.600312}, "q");
  expect_golden(taps_.at("self_attn0"), {{-0.06407493, 0.04330512, -0.02143431, -0.002609385}, 6.0143492},
                "self_attn");
  expect_golden(taps_.at("cross_attn0"), {{-0.08057614, 0.03555308, -0.03863209, -0.00976427}, 6.0011645},
                "cross_attn");
  expect_golden(taps_.at("ffn0"), {{-4.332572, -5.450589, -5.819739, -5.38932}, 278.7712}, "ffn");
}

TEST_F(DitGolden, BlocksHeadAndResultMatch) {
  expect_golden(taps_.at("block0"), {{2.596991, 0.160243, -6.356785, 9.512434}, 918.70244}, "block 0");
  expect_golden(taps_.at("block1"), {{7.292943, 0.880057, -15.86804, 24.56423}, 2373.9706}, "block 1");
  expect_golden(taps_.at("head"), {{-1.528648, 2.578338, -3.467524, 4.30819}, 143.08991}, "head");
  expect_golden(final_, {{-1.528648, 0.6567662, -1.528599, 0.6567571, -1.528524, 0.656726}, 143.089909},
                "result");
  const at::Tensor end = final_.flatten().narrow(0, final_.numel() - 3, 3);
  expect_golden(end, {{-3.044849, 2.260142, -3.044728}}, "result's end");
}

TEST(DitGoldenTables, SinusoidOfTime999) {
  const auto device = make_cpu_device();
  std::vector<float> s(256);
  model::kernels::time_sinusoid(999, s.data(), 256, device->compute());
  const std::map<std::size_t, double> golden = {
      {0, 0.999649852981},     {1, 0.963782478587},    {2, -0.398991757717},   {127, 0.994243164144},
      {128, -0.0264607527371}, {129, -0.266689583539}, {130, -0.916954512107}, {255, 0.107147237727}};
  for (const auto& [index, value] : golden) EXPECT_NEAR(s[index], value, 6e-8) << index;  // fp32's rounding
}

TEST(DitGoldenTables, RopeAnglesAtPositionOne) {
  const model::RopeSplit split = model::rope_split(128);
  EXPECT_EQ(split.frames, 22);
  EXPECT_EQ(split.rows, 21);
  EXPECT_EQ(split.cols, 21);
  const auto near = [](double angle, double wanted) { EXPECT_NEAR(angle / wanted, 1.0, 1e-14); };
  near(model::rope_angle(1, 0, 22), 1);
  near(model::rope_angle(1, 1, 22), 0.657933224657568);
  near(model::rope_angle(1, 21, 22), 1.51991108295293e-4);
  near(model::rope_angle(1, 1, 21), 0.644946677103762);
  near(model::rope_angle(1, 20, 21), 1.55051577983263e-4);
}

TEST(DitGoldenTables, RopeTableHasTheAnglesOfEachTokensThreePositions) {
  const model::kernels::Grid grid = {.frames = 2, .rows = 3, .cols = 4};
  const at::Tensor table = model::rope_table(grid, 128, 5, 19);
  ASSERT_EQ(table.sizes(), at::IntArrayRef({19, 2, 64}));
  const std::int64_t token = (1 * 3 + 2) * 4 + 3;  // frame 1, row 2, column 3
  const at::Tensor turn = table[token - 5];
  const auto expect_turn = [&](std::int64_t pair, double angle) {
    EXPECT_NEAR(turn[0][pair].item<double>(), std::cos(angle), 6e-8) << pair;
    EXPECT_NEAR(turn[1][pair].item<double>(), std::sin(angle), 6e-8) << pair;
  };
  expect_turn(0, 1);
  expect_turn(1, 0.657933224657568);
  expect_turn(22, 2);
  expect_turn(23, 2 * 0.644946677103762);
  expect_turn(43, 3);
  expect_turn(63, 3 * 1.55051577983263e-4);
}

}  // namespace
}  // namespace ferry::testing
