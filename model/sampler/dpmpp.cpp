#include <ATen/TensorOperators.h>

#include <cmath>

#include "model/sampler/solvers.h"

namespace ferry::model {

namespace {

at::Tensor next_sample(const Schedule& schedule, const History& history, int i, const at::Tensor& x) {
  const float sigma = schedule.sigmas[i];
  const float next = schedule.sigmas[i + 1];
  if (next == 0.0f) return history.predicted;
  const float h = lambda_of(next) - lambda_of(sigma);
  const float scale = (1.0f - next) * (std::exp(-h) - 1.0f);
  const at::Tensor first = x * (next / sigma) - history.predicted * scale;
  if (i == 0) return first;
  const float r = (lambda_of(sigma) - lambda_of(schedule.sigmas[i - 1])) / h;
  const at::Tensor slope = (history.predicted - history.before) * (1.0f / r);
  return first - slope * (0.5f * scale);
}

}  // namespace

at::Tensor dpmpp_step(const Schedule& schedule, History& history, int i, const at::Tensor& x,
                      const at::Tensor& v) {
  history.before = history.predicted;
  history.predicted = x - v * schedule.sigmas[i];
  return next_sample(schedule, history, i, x);
}

}  // namespace ferry::model
