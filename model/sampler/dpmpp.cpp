#include <ATen/TensorOperators.h>

#include <cmath>

#include "model/sampler/solvers.h"

namespace ferry::model {

namespace {

at::Tensor dpmpp_step(const Schedule& schedule, History& history, int i, const at::Tensor& x,
                      const at::Tensor& v) {
  const float sigma = schedule.sigmas[i];
  const float next = schedule.sigmas[i + 1];
  const at::Tensor previous = history.predicted;
  at::Tensor predicted = x - v * sigma;
  history.predicted = predicted;
  if (next == 0.0f) return predicted;
  const float h = lambda_of(next) - lambda_of(sigma);
  const float scale = (1.0f - next) * (std::exp(-h) - 1.0f);
  at::Tensor first = x * (next / sigma) - predicted * scale;
  if (i == 0) return first;
  const float r = (lambda_of(sigma) - lambda_of(schedule.sigmas[i - 1])) / h;
  const at::Tensor slope = (predicted - previous) * (1.0f / r);
  return first - slope * (0.5f * scale);
}

std::vector<std::string> remembered(int next_step) {
  if (next_step == 0) return {};
  return {"predicted"};
}

}  // namespace

Solver dpmpp_solver() { return {dpmpp_step, remembered}; }

}  // namespace ferry::model
