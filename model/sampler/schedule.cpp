#include "model/sampler/schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

namespace ferry::model {

namespace {

enum class Timestep { Truncated, Exact };

constexpr int kTrainTimesteps = 1000;

Schedule make_schedule(const std::vector<double>& base, double shift, Timestep kind) {
  Schedule schedule;
  for (const double level : base) {
    const double sigma = shifted(level, shift);
    const double timestep = sigma * kTrainTimesteps;
    schedule.timesteps.push_back(kind == Timestep::Truncated ? std::trunc(timestep) : timestep);
    schedule.sigmas.push_back(static_cast<float>(sigma));
  }
  schedule.sigmas.push_back(0.0f);
  return schedule;
}

// Bit-exact NumPy linspace(first, 0, steps + 1) without its last point.
std::vector<double> even_to_zero(double first, int steps) {
  const double stride = (0.0 - first) / steps;
  std::vector<double> levels;
  for (int k = 0; k < steps; ++k) levels.push_back(k * stride + first);
  return levels;
}

}  // namespace

double shifted(double sigma, double shift) { return shift * sigma / (1.0 + (shift - 1.0) * sigma); }

Schedule unipc_schedule(int steps, double shift) {
  const double sigma_max = static_cast<float>(1.0 - 1.0 / kTrainTimesteps);
  return make_schedule(even_to_zero(sigma_max, steps), shift, Timestep::Truncated);
}

Schedule dpmpp_schedule(int steps, double shift) {
  return make_schedule(even_to_zero(1.0, steps), shift, Timestep::Truncated);
}

Schedule euler_schedule(int steps, double shift) {
  return make_schedule(even_to_zero(1.0, steps), shift, Timestep::Exact);
}

Schedule distill_schedule(int steps, double shift) {
  if (steps < 1 || kTrainTimesteps % steps != 0) {
    throw std::invalid_argument(fmt::format("distill_schedule: {} steps do not divide 1000", steps));
  }
  const int stride = kTrainTimesteps / steps;
  std::vector<double> levels;
  for (int timestep = kTrainTimesteps; timestep > 0; timestep -= stride) {
    levels.push_back(static_cast<double>(timestep) / kTrainTimesteps);
  }
  return make_schedule(levels, shift, Timestep::Exact);
}

}  // namespace ferry::model
