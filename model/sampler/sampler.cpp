#include "model/sampler/sampler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "model/sampler/names.h"
#include "model/sampler/schedule.h"
#include "model/sampler/solvers.h"

namespace ferry::model {

namespace {

struct Recipe {
  std::string_view name;
  Schedule (*schedule)(int steps, double shift);
  Solver (*solver)();
};

constexpr std::array<Recipe, 4> kRecipes = {{{"unipc", unipc_schedule, unipc_solver},
                                             {"dpm++", dpmpp_schedule, dpmpp_solver},
                                             {"euler", euler_schedule, euler_solver},
                                             {"step_distill", distill_schedule, euler_solver}}};

constexpr int kMaxSteps = 1000;
constexpr double kMinShift = 0.001;
constexpr double kMaxShift = 1000.0;

const Recipe& recipe_of(const std::string& name) {
  for (const Recipe& recipe : kRecipes) {
    if (recipe.name == name) return recipe;
  }
  throw UserError(
      fmt::format("sampler '{}' is not known: one of {}", name, fmt::join(sampler_names(), ", ")));
}

void check(const Recipe& recipe, int steps, double shift) {
  if (steps < 1 || steps > kMaxSteps) {
    throw UserError(fmt::format("steps {}: accepted are 1 to {}", steps, kMaxSteps));
  }
  if (recipe.schedule == distill_schedule && kMaxSteps % steps != 0) {
    throw UserError(fmt::format(
        "steps {} with sampler step_distill: accepted are numbers that divide 1000, such as 1, 2, 4, 5, 8",
        steps));
  }
  // Rejects NaN too.
  if (!(shift >= kMinShift && shift <= kMaxShift)) {
    throw UserError(fmt::format("shift {}: accepted are {} to {}", shift, kMinShift, kMaxShift));
  }
}

at::Tensor& field(History& history, const std::string& name) {
  if (name == "predicted") return history.predicted;
  return name == "before" ? history.before : history.sample;
}

}  // namespace

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

Sampler::Sampler(Schedule schedule, Solver solver) : schedule_(std::move(schedule)), solver_(solver) {}

at::Tensor Sampler::step(int i, const at::Tensor& x, const at::Tensor& v) {
  if (i != next_step_ || i >= steps()) {
    throw std::invalid_argument(fmt::format("sampler: step {} of {}, expected {}", i, steps(), next_step_));
  }
  if (x.scalar_type() != at::kFloat || v.scalar_type() != at::kFloat || x.sizes() != v.sizes() ||
      x.device() != v.device()) {
    throw std::invalid_argument("sampler: the latent and the network's output must be fp32, alike in shape");
  }
  at::Tensor next = solver_.step(schedule_, history_, i, x, v);
  ++next_step_;
  return next;
}

SamplerState Sampler::state() const {
  SamplerState state{.next_step = next_step_, .tensors = {}};
  History history = history_;
  for (const auto& name : solver_.remembered(next_step_)) state.tensors[name] = field(history, name);
  return state;
}

void Sampler::restore(const SamplerState& state) {
  if (state.next_step < 0 || state.next_step > steps()) {
    throw std::invalid_argument(fmt::format("sampler: state of step {} of {}", state.next_step, steps()));
  }
  const auto names = solver_.remembered(state.next_step);
  History history;
  for (const auto& name : names) {
    const auto found = state.tensors.find(name);
    if (found == state.tensors.end()) {
      throw std::invalid_argument(fmt::format("sampler: the state has no tensor '{}'", name));
    }
    field(history, name) = found->second;
  }
  if (names.size() != state.tensors.size()) {
    throw std::invalid_argument("sampler: the state is of another sampler");
  }
  history_ = history;
  next_step_ = state.next_step;
}

Sampler make_sampler(const std::string& name, int steps, double shift) {
  const Recipe& recipe = recipe_of(name);
  check(recipe, steps, shift);
  return {recipe.schedule(steps, shift), recipe.solver()};
}

}  // namespace ferry::model
