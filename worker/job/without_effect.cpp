#include "worker/job/without_effect.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "worker/roles.h"

namespace ferry::worker {
namespace {

using Words = std::vector<std::string_view>;
using Kind = offload::StrategyKind;

bool has(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool begins_with_one(std::string_view key, const Words& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [key](std::string_view start) { return key.starts_with(start); });
}

// True for keys of a network that the job does not need.
bool is_of_idle_network(std::string_view key, const Job& job) {
  return std::ranges::any_of(roles(), [&](const RoleEntry& entry) {
    return !entry.needed(given_to(job)) && key.starts_with(std::string(entry.name) + ".");
  });
}

// Cases that the key's name alone decides.
bool is_passed_over(std::string_view key, const Job& job) {
  if (is_of_idle_network(key, job)) return true;
  if (!job.latents.empty()) {
    return begins_with_one(
        key, {"model.dtype", "job.prompt", "job.negative_prompt", "job.steps", "job.sampler", "job.guidance",
              "job.shift", "job.seed", "job.noise", "job.context", "lora", "attention.", "run.state",
              "run.save_every", "run.resume"});
  }
  if (!job.context.empty() && begins_with_one(key, {"job.prompt", "job.negative_prompt"})) return true;
  return !job.noise.empty() && key == "job.noise_device";
}

// True if a stage of this type uses the setting ([offload] prefetch_size).
bool is_used_by(std::string_view setting, Kind type) {
  // How many blocks are ferried is what auto chooses.
  if (type == Kind::Auto) return setting != "offload_ratio";
  if (has({"offload_ratio", "prefetch_size", "lazy_gpu_cache", "transport", "share", "interleave"}, setting))
    return type == Kind::Async;
  if (has({"vram_limit", "max_num_param", "module_map", "module_config", "overflow_module_config"}, setting))
    return type == Kind::Sequential;
  return true;
}

// Types of the running stages that `prefix` applies to.
std::vector<Kind> types_of(std::string_view prefix, const Options& options, const Job& job) {
  std::vector<Kind> types;
  for (const RoleEntry& entry : roles()) {
    const bool meant = prefix == "offload" || prefix == std::string(entry.name) + ".offload";
    if (meant && entry.needed(given_to(job))) types.push_back(options.offload[entry.role].type);
  }
  return types;
}

bool suits_no_stage(std::string_view key, const Options& options, const Job& job) {
  const std::size_t dot = key.rfind('.');
  const std::vector<Kind> types = types_of(key.substr(0, dot), options, job);
  return !types.empty() && std::none_of(types.begin(), types.end(),
                                        [&](Kind type) { return is_used_by(key.substr(dot + 1), type); });
}

// Rates choose the DiT's type.
bool is_idle_machine(std::string_view key, const Options& options, const Job& job) {
  return key == "run.machine" && (!job.latents.empty() || options.offload[Role::Dit].type != Kind::Auto);
}

}  // namespace

std::vector<std::string> options_without_effect(const Options& options, const Job& job) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : options.echo) {
    if (is_passed_over(key, job) || suits_no_stage(key, options, job) || is_idle_machine(key, options, job))
      keys.push_back(key);
  }
  return keys;
}

}  // namespace ferry::worker
