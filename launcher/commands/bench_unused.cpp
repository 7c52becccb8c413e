#include "launcher/commands/bench_unused.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "worker/job/without_effect.h"

namespace ferry::launcher {
namespace {

constexpr auto kAlways =
    std::to_array<std::string_view>({"model.path", "model.device", "model.unexpected", "job.size",
                                     "job.frames", "run.log_level", "run.deadline_s", "samples", "json"});
// Keys of a prefix, or, if it does not end in a dot, the key.
constexpr auto kMesh = std::to_array<std::string_view>(
    {"parallel.cfg", "parallel.ulysses", "parallel.data", "parallel.exchange"});
constexpr auto kOfDit = std::to_array<std::string_view>(
    {"model.dtype", "model.dit_key", "attention.", "offload.", "dit.offload.", "branches"});
constexpr auto kOfVae =
    std::to_array<std::string_view>({"model.vae_dtype", "model.vae_key", "offload.", "vae.offload."});
// What bench offload has lists of.
constexpr auto kVaried =
    std::to_array<std::string_view>({"type", "offload_ratio", "prefetch_size", "transport", "share"});

bool is_one_of(std::string_view key, std::span<const std::string_view> keys) {
  return std::ranges::any_of(keys, [key](std::string_view each) {
    return each.ends_with('.') ? key.starts_with(each) : key == each;
  });
}

bool is_varied(std::string_view key) {
  const std::size_t behind = key.rfind('.') + 1;
  return key.find("offload.") != std::string_view::npos && is_one_of(key.substr(behind), kVaried);
}

bool is_used(std::string_view key, Measures what) {
  if (is_one_of(key, kAlways) || is_one_of(key, kMesh)) return true;
  if (what == Measures::Decode) return is_one_of(key, kOfVae);
  if (what == Measures::Forward) return is_one_of(key, kOfDit) || key == "warmups";
  const bool is_list = key.find('.') == std::string_view::npos && key != "warmups";
  return is_list || (is_one_of(key, kOfDit) && !is_varied(key));
}

// Types are those of the lists in bench offload.
std::vector<std::string> of_other_types(const worker::Options& run, Measures what) {
  if (what == Measures::Offload) return {};
  worker::Options alone = run;
  const worker::Role role = what == Measures::Forward ? worker::Role::Dit : worker::Role::Vae;
  for (offload::Options& each : alone.offload) each.type = run.offload[role].type;
  return worker::options_without_effect(alone, {});
}

}  // namespace

std::vector<std::string> unused_keys(std::span<const Setting> settings, const BenchOptions& options,
                                     Measures what) {
  const std::vector<std::string> others = of_other_types(options.run, what);
  std::vector<std::string> keys;
  for (const Setting& setting : settings) {
    const std::string& key = setting.flag->key;
    const bool of_other_type = std::ranges::find(others, key) != others.end();
    if (!setting.of_model && (of_other_type || !is_used(key, what))) keys.push_back(key);
  }
  return keys;
}

}  // namespace ferry::launcher
