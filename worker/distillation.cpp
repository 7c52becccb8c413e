#include "worker/distillation.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "base/text/shown.h"
#include "checkpoint/formats/safetensors.h"

namespace ferry::worker {
namespace {

constexpr const char* kSampler = "step_distill";

std::optional<checkpoint::Distilled> by_header_of(const std::string& file) {
  return checkpoint::distilled_by_header(checkpoint::SafetensorsFile::open(file).metadata(), file);
}

bool chooses(const std::optional<checkpoint::Distilled>& said, const JobOptions& options) {
  return said && said->steps > 0 && !options.sampler;
}

// Files and folders whose names say what the DiT is.
std::vector<std::string> named_paths(const Networks& networks, const Network& dit) {
  std::vector<std::string> paths;
  for (std::size_t i = 0; dit.loras != nullptr && i < dit.loras->size(); ++i) {
    const auto& [file, strength] = (*dit.loras)[i];
    if (strength != 0) paths.push_back(file->path());
  }
  paths.push_back(dit.checkpoint.files().front());
  paths.push_back(std::filesystem::path(networks.folder + "/").parent_path().string());
  return paths;
}

std::string sampling_of(const Job& job) {
  return fmt::format("the sampler is {}, with {} steps and guidance {:g}", job.sampler, job.steps,
                     job.guidance);
}

}  // namespace

std::optional<checkpoint::Distilled> distilled_of(const checkpoint::Checkpoint& checkpoint) {
  if (auto by_config = checkpoint::distilled_by_config(checkpoint.config_file())) return by_config;
  if (checkpoint.format() != checkpoint::FileFormat::Safetensors) return {};
  return by_header_of(checkpoint.files().front());
}

std::optional<checkpoint::Distilled> distilled_of(const checkpoint::LoraStack* loras) {
  for (std::size_t i = 0; loras != nullptr && i < loras->size(); ++i) {
    const auto& [file, strength] = (*loras)[i];
    if (strength == 0) continue;
    if (auto said = by_header_of(file->path())) return said;
  }
  return {};
}

JobOptions with_distilled(JobOptions options, const std::optional<checkpoint::Distilled>& said) {
  if (!chooses(said, options)) return options;
  options.sampler = kSampler;
  if (!options.steps) options.steps = said->steps;
  return options;
}

std::string distilled_note(const Networks& networks, const std::optional<checkpoint::Distilled>& said,
                           const JobOptions& given, const Job& job) {
  const std::optional<Network>& dit = networks[Role::Dit];
  if (!dit || !job.latents.empty()) return "";
  if (chooses(said, given))
    return fmt::format("sampler {}, {} steps, guidance {:g}, shift {:g}: by {}", job.sampler, job.steps,
                       job.guidance, job.shift, shown(said->from, std::string::npos));
  if (job.sampler == kSampler) return "";
  if (said && said->steps == 0)
    return fmt::format("{}: not the steps of {}, and {}", shown(said->from, std::string::npos), kSampler,
                       sampling_of(job));
  for (const std::string& path : named_paths(networks, *dit)) {
    const std::string word = checkpoint::distilled_by_name(path);
    if (word.empty()) continue;
    return fmt::format(
        "{}: '{}' in its name is of models that take few steps without guidance, but {}; --sampler {} "
        "follows it",
        shown(path, std::string::npos), word, sampling_of(job), kSampler);
  }
  return "";
}

}  // namespace ferry::worker
