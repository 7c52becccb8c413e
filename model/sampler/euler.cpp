#include <ATen/TensorOperators.h>

#include <cmath>

#include "model/sampler/solvers.h"

namespace ferry::model {

namespace {

at::Tensor euler_step(const Schedule& schedule, History&, int i, const at::Tensor& x, const at::Tensor& v) {
  return x + v * (schedule.sigmas[i + 1] - schedule.sigmas[i]);
}

std::vector<std::string> remembered(int) { return {}; }

}  // namespace

Solver euler_solver() { return {euler_step, remembered}; }

float lambda_of(float sigma) { return std::log(1.0f - sigma) - std::log(sigma); }

}  // namespace ferry::model
