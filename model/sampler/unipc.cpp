#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "model/sampler/solvers.h"

namespace ferry::model {

namespace {

int predictor_order(const Schedule& schedule, int i) {
  const int steps = static_cast<int>(schedule.timesteps.size());
  return std::min({2, steps - i, i + 1});
}

struct Weights2 {
  float before;
  float current;
};

// Solves  before + current = b1,  r before + current = b2.
Weights2 corrector_weights(float hh, float r) {
  const float b = std::expm1(hh);
  const float phi = b / hh - 1.0f;
  const float b1 = phi / b;
  const float b2 = 2.0f * (phi / hh - 0.5f) / b;
  const float before = (b2 - b1) / (r - 1.0f);
  return {before, b1 - before};
}

// UniC: corrects the sample at step i after the network has been evaluated there (`predicted`).
at::Tensor corrected(const Schedule& schedule, const History& history, int i, const at::Tensor& predicted) {
  const float sigma = schedule.sigmas[i];
  const float last = schedule.sigmas[i - 1];
  const float h = lambda_of(sigma) - lambda_of(last);
  const float scale = (1.0f - sigma) * std::expm1(-h);
  const at::Tensor change = predicted - history.predicted;
  at::Tensor correction;
  if (predictor_order(schedule, i - 1) == 1) {
    correction = change * 0.5;
  } else {
    const float r = (lambda_of(schedule.sigmas[i - 2]) - lambda_of(last)) / h;
    const Weights2 weights = corrector_weights(-h, r);
    const at::Tensor slope = (history.before - history.predicted) * (1.0f / r);
    correction = slope * weights.before + change * weights.current;
  }
  const at::Tensor base = history.sample * (sigma / last) - history.predicted * scale;
  return base - correction * scale;
}

// UniP: predicts the sample at step i + 1.
at::Tensor predicted_sample(const Schedule& schedule, const History& history, int i) {
  const float sigma = schedule.sigmas[i];
  const float next = schedule.sigmas[i + 1];
  if (next == 0.0f) return history.predicted;
  const float h = lambda_of(next) - lambda_of(sigma);
  const float scale = (1.0f - next) * std::expm1(-h);
  at::Tensor x = history.sample * (next / sigma) - history.predicted * scale;
  if (predictor_order(schedule, i) == 1) return x;
  const float r = (lambda_of(schedule.sigmas[i - 1]) - lambda_of(sigma)) / h;
  const at::Tensor slope = (history.before - history.predicted) * (1.0f / r);
  return x - slope * 0.5 * scale;
}

at::Tensor unipc_step(const Schedule& schedule, History& history, int i, const at::Tensor& x,
                      const at::Tensor& v) {
  // x0 is computed from the predicted sample; only then is the sample corrected.
  const at::Tensor predicted = x - v * schedule.sigmas[i];
  history.sample = i > 0 ? corrected(schedule, history, i, predicted) : x;
  history.before = history.predicted;
  history.predicted = predicted;
  return predicted_sample(schedule, history, i);
}

std::vector<std::string> remembered(int next_step) {
  if (next_step == 0) return {};
  if (next_step == 1) return {"predicted", "sample"};
  return {"predicted", "before", "sample"};
}

}  // namespace

Solver unipc_solver() { return {unipc_step, remembered}; }

}  // namespace ferry::model
