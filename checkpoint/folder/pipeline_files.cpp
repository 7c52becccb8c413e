#include "checkpoint/folder/pipeline_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/error.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/folder/path_kind.h"
#include "checkpoint/network/config_members.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

const char* component_of(Part part) {
  switch (part) {
    case Part::Dit:
      return "transformer";
    case Part::Vae:
      return "vae";
    case Part::TextEncoder:
      break;
  }
  return "text_encoder";
}

void expect_class(const ConfigFile& config, const char* member, const std::string& name,
                  const std::vector<std::string>& accepted) {
  if (std::find(accepted.begin(), accepted.end(), name) != accepted.end()) return;
  const std::string what = known_class(name);
  config.refuse(member, fmt::format("{}expected {}", what.empty() ? "" : "that is " + what + "; ",
                                    fmt::join(accepted, " or ")));
}

struct SchedulerRule {
  const char* name;
  const char* accepted;
};
// Values that the samplers implement; members that matter only without flow sigmas (betas, spacing) have no
// rule.
constexpr auto kSchedulerRules = std::to_array<SchedulerRule>({
    {"prediction_type", R"(["flow_prediction"])"},
    {"use_flow_sigmas", "[true]"},
    {"num_train_timesteps", "[1000]"},
    {"solver_order", "[2]"},
    {"solver_type", R"(["bh2", "midpoint"])"},
    {"algorithm_type", R"(["dpmsolver++"])"},
    {"predict_x0", "[true]"},
    {"lower_order_final", "[true]"},
    {"final_sigmas_type", R"(["zero"])"},
    {"euler_at_final", "[]"},
    {"disable_corrector", "[]"},
    {"solver_p", "[]"},
    {"thresholding", "[]"},
    {"use_karras_sigmas", "[]"},
    {"use_exponential_sigmas", "[]"},
    {"use_beta_sigmas", "[]"},
    {"use_lu_lambdas", "[]"},
    {"use_dynamic_shifting", "[]"},
    {"shift_terminal", "[]"},
    {"invert_sigmas", "[]"},
    {"stochastic_sampling", "[]"},
    {"variance_type", "[]"},
    {"lambda_min_clipped", R"(["-Infinity"])"},
    {"sigma_min", "[]"},
    {"sigma_max", "[]"},
});

struct SchedulerClass {
  const char* name;
  const char* sampler;
};
constexpr auto kSchedulers = std::to_array<SchedulerClass>({
    {"UniPCMultistepScheduler", "unipc"},
    {"FlowUniPCMultistepScheduler", "unipc"},
    {"DPMSolverMultistepScheduler", "dpm++"},
    {"FlowDPMSolverMultistepScheduler", "dpm++"},
    {"FlowMatchEulerDiscreteScheduler", "euler"},
});

// Opens the file and checks every member.
ConfigFile scheduler_config(const std::string& model_dir) {
  ConfigFile config(if_file(fs::path(model_folder(model_dir)) / "scheduler" / "scheduler_config.json"));
  std::vector<std::string> names;
  for (const SchedulerClass& known : kSchedulers) names.emplace_back(known.name);
  if (const auto name = config.text("_class_name")) expect_class(config, "_class_name", *name, names);
  for (const SchedulerRule& rule : kSchedulerRules) config.expect(rule.name, rule.accepted);
  return config;
}

}  // namespace

void check_model_index(const std::string& folder, Part part) {
  const std::string path = if_file(fs::path(folder) / "model_index.json");
  if (path.empty()) return;
  const ConfigFile index(path);
  if (const auto pipeline = index.text("_class_name"))
    expect_class(index, "_class_name", *pipeline, {"WanPipeline", "WanVideoToVideoPipeline"});
  index.expect("boundary_ratio", "[]");  // Wan2.2's two experts
  index.expect("expand_timesteps", "[]");
  index.expect("transformer_2", "[[null, null]]");
  // ["diffusers", "WanTransformer3DModel"]
  const std::vector<std::string> component = index.texts(component_of(part));
  if (!component.empty()) expect_class(index, component_of(part), component.back(), class_names(part));
}

std::optional<double> scheduler_flow_shift(const std::string& model_dir) {
  const ConfigFile config = scheduler_config(model_dir);
  constexpr double kMost = 1e6;
  for (const char* name : {"flow_shift", "shift"}) {
    const auto value = config.positive(name);
    if (value && *value > kMost) config.refuse(name, "expected a number up to 1000000");
    if (value) return value;
  }
  return {};
}

std::string scheduler_sampler(const std::string& model_dir) {
  const std::string name = scheduler_config(model_dir).text("_class_name").value_or("");
  for (const SchedulerClass& known : kSchedulers) {
    if (name == known.name) return known.sampler;
  }
  return "";
}

}  // namespace ferry::checkpoint
