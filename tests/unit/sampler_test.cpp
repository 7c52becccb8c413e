#include "model/sampler/sampler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/support/plain_weights.h"

namespace ferry::model {
namespace {

using ::testing::HasSubstr;

// The model of wan21.md section 13.4.
at::Tensor velocity(const at::Tensor& x, double timestep) { return x * 0.5 + timestep / 1000.0; }

at::Tensor run(Sampler& sampler, at::Tensor x, int begin, int end) {
  for (int i = begin; i < end; ++i) x = sampler.step(i, x, velocity(x, sampler.timesteps()[i]));
  return x;
}

std::vector<double> scalar_run(const std::string& name, int steps, double shift) {
  Sampler sampler = make_sampler(name, steps, shift);
  at::Tensor x = at::full({1}, 1.0, at::kFloat);
  std::vector<double> values;
  for (int i = 0; i < steps; ++i) {
    x = run(sampler, x, i, i + 1);
    values.push_back(x.item<float>());
  }
  return values;
}

void expect_close(const std::vector<double>& found, const std::vector<double>& wanted) {
  // The reference was computed in fp32 and printed with eight digits; fp32 scalars differ by the last bits
  // of log and expm1.
  EXPECT_THAT(found, ::testing::Pointwise(::testing::DoubleNear(2e-6), wanted));
}

TEST(Unipc, ScalarRunsAreThoseOfTheReference) {
  expect_close(scalar_run("unipc", 4, 5), {0.90626097, 0.76530194, 0.53694177, -0.02057356});
  expect_close(scalar_run("unipc", 6, 3),
               {0.90628517, 0.79822499, 0.67370248, 0.52731407, 0.37233752, 0.16243182});
  const auto fifty = scalar_run("unipc", 50, 5);
  expect_close({fifty.end() - 3, fifty.end()}, {0.28517497, 0.26634058, 0.24551079});
}

TEST(Dpmpp, ScalarRunsAreThoseOfTheReference) {
  expect_close(scalar_run("dpm++", 4, 5), {0.90625, 0.76144534, 0.52696174, -0.02833885});
  expect_close(scalar_run("dpm++", 6, 3),
               {0.90625, 0.79454356, 0.66566277, 0.51664662, 0.36023548, 0.15206634});
}

TEST(Euler, FollowsTheLine) {
  // A constant velocity is integrated exactly: x1 = x0 + (0 - 1) v.
  for (const char* name : {"euler", "step_distill"}) {
    Sampler sampler = make_sampler(name, 4, 5);
    at::Tensor x = testing::golden_input({2, 3}, 0.1, 0.3);
    const at::Tensor v = testing::golden_input({2, 3}, 0.7, 0.2);
    const at::Tensor wanted = x - v;
    for (int i = 0; i < 4; ++i) x = sampler.step(i, x, v);
    EXPECT_LT((x - wanted).abs().max().item<float>(), 3e-7f) << name;  // four roundings of values near 1
  }
}

class EverySampler : public ::testing::TestWithParam<const char*> {};

TEST_P(EverySampler, OneStepGivesThePredictedSample) {
  Sampler sampler = make_sampler(GetParam(), 1, 5);
  const at::Tensor x = testing::golden_input({4}, 0.1, 0.3);
  const at::Tensor v = testing::golden_input({4}, 0.7, 0.2);
  const at::Tensor wanted = x - v * sampler.sigmas()[0];
  EXPECT_LT((sampler.step(0, x, v) - wanted).abs().max().item<float>(), 1e-6f);
}

TEST_P(EverySampler, StaysFiniteWhereTheGridBeginsAtOne) {
  for (const int steps : {2, 3, 20}) {
    for (const double shift : {0.001, 1000.0}) {
      Sampler sampler = make_sampler(GetParam(), steps == 3 ? 5 : steps, shift);
      const at::Tensor x = run(sampler, at::full({2}, 1.0, at::kFloat), 0, sampler.steps());
      EXPECT_TRUE(at::isfinite(x).all().item<bool>()) << steps << " steps, shift " << shift;
    }
  }
}

TEST_P(EverySampler, ContinuesToTheSameBitsFromAnyStep) {
  const at::Tensor noise = testing::golden_input({3, 5}, 0.1, 0.37);
  Sampler whole = make_sampler(GetParam(), 10, 3);
  const at::Tensor wanted = run(whole, noise, 0, 10);
  for (int stop = 0; stop <= 10; ++stop) {
    Sampler first = make_sampler(GetParam(), 10, 3);
    const at::Tensor x = run(first, noise, 0, stop);
    SamplerState saved = first.state();
    for (auto& [name, tensor] : saved.tensors) tensor = tensor.clone();
    Sampler second = make_sampler(GetParam(), 10, 3);
    second.restore(saved);
    EXPECT_TRUE(at::equal(run(second, x.clone(), stop, 10), wanted)) << "stopped before step " << stop;
  }
}

TEST_P(EverySampler, ForgettingTheHistoryIsRefused) {
  Sampler sampler = make_sampler(GetParam(), 10, 3);
  EXPECT_THROW(sampler.restore({.next_step = 11, .tensors = {}}), std::invalid_argument);
  EXPECT_THROW(sampler.restore({.next_step = -1, .tensors = {}}), std::invalid_argument);
  EXPECT_THROW(sampler.restore({.next_step = 1, .tensors = {{"else", at::full({1}, 0.0)}}}),
               std::invalid_argument);
  const bool multistep = std::string(GetParam()) == "unipc" || std::string(GetParam()) == "dpm++";
  if (multistep) {
    EXPECT_THROW(sampler.restore({.next_step = 3, .tensors = {}}), std::invalid_argument);
  }
}

TEST_P(EverySampler, TakesStepsInOrderAndFp32Only) {
  Sampler sampler = make_sampler(GetParam(), 2, 3);
  const at::Tensor x = at::full({2}, 1.0, at::kFloat);
  EXPECT_THROW(sampler.step(1, x, x), std::invalid_argument);
  EXPECT_THROW(sampler.step(0, x.to(at::kBFloat16), x), std::invalid_argument);
  EXPECT_THROW(sampler.step(0, x, at::full({3}, 1.0, at::kFloat)), std::invalid_argument);
  const at::Tensor last = run(sampler, x, 0, 2);
  EXPECT_THROW(sampler.step(2, last, last), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(All, EverySampler, ::testing::Values("unipc", "dpm++", "euler", "step_distill"));

std::string refusal(const std::string& name, int steps, double shift) {
  try {
    make_sampler(name, steps, shift);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(MakeSampler, RefusesWithWhatItAccepts) {
  EXPECT_THAT(refusal("heun", 4, 5), HasSubstr("unipc, dpm++, euler, step_distill"));
  EXPECT_THAT(refusal("unipc", 0, 5), HasSubstr("1 to 1000"));
  EXPECT_THAT(refusal("euler", 1001, 5), HasSubstr("1 to 1000"));
  EXPECT_THAT(refusal("step_distill", 3, 5), HasSubstr("divide 1000"));
  EXPECT_THAT(refusal("unipc", 4, 0), HasSubstr("0.001 to 1000"));
  EXPECT_THAT(refusal("unipc", 4, std::numeric_limits<double>::quiet_NaN()), HasSubstr("shift nan"));
}

}  // namespace
}  // namespace ferry::model
