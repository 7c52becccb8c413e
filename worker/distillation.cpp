#include "worker/distillation.h"

#include <fmt/format.h>

#include <vector>

#include "base/text/shown.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora_folder.h"

namespace ferry::worker {
namespace {

using checkpoint::Distilled;

constexpr const char* kSampler = "step_distill";
constexpr int kUsualSteps = 4;  // where only a name says that there are few

std::optional<Distilled> by_header_of(const std::string& file) {
  return checkpoint::distilled_by_header(checkpoint::SafetensorsFile::open(file).metadata(), file);
}

// The given options that keep a model of so many steps from them, as they would have to be: " --steps 4
// --guidance 1".
std::string changes_for(int steps, const JobOptions& given) {
  std::string flags;
  if (given.steps && *given.steps != steps) flags += fmt::format(" --steps {}", steps);
  if (given.guidance && *given.guidance != 1) flags += " --guidance 1";
  return flags;
}

bool chooses(const std::optional<Distilled>& said, const JobOptions& options) {
  return said && said->steps > 0 && !options.sampler && changes_for(said->steps, options).empty();
}

// Files and folders whose names say what the DiT is.
std::vector<std::string> named_paths(const Networks& networks, const Network& dit, const Job& job) {
  std::vector<std::string> paths;
  for (const auto& [path, strength] : job.loras) {
    if (strength == 0) continue;
    paths.push_back(path);
    const auto file = networks.lora_files.find(path);
    if (file != networks.lora_files.end() && file->second != nullptr) paths.push_back(file->second->path());
  }
  if (!dit.checkpoint.files().empty()) paths.push_back(dit.checkpoint.files().front());
  paths.push_back(networks.folder);
  return paths;
}

std::string sampling_of(const Job& job) {
  return fmt::format("the sampler is {}, with {} steps and guidance {:g}", job.sampler, job.steps,
                     job.guidance);
}

std::string name_note(const std::string& path, const std::string& word, const JobOptions& given,
                      const Job& job) {
  return fmt::format(
      "{}: '{}' in its name is of models that take few steps without guidance, but {}; --sampler {}{} "
      "follows it",
      shown(path, std::string::npos), word, sampling_of(job), kSampler, changes_for(kUsualSteps, given));
}

}  // namespace

std::optional<Distilled> distilled_of(const checkpoint::Checkpoint& checkpoint) {
  if (auto by_config = checkpoint::distilled_by_config(checkpoint.config_file())) return by_config;
  if (checkpoint.format() != checkpoint::FileFormat::Safetensors) return {};
  return by_header_of(checkpoint.files().front());
}

std::optional<Distilled> distilled_of_lora(const std::string& path) {
  return by_header_of(checkpoint::lora_file(path));
}

void read_said(SamplingSaid& said, const Networks& networks) {
  for (const auto& [given, file] : networks.lora_files) {
    // Empty: it could not be opened.
    if (file != nullptr && !said.loras.contains(file->path()))
      said.loras.emplace(file->path(), by_header_of(file->path()));
  }
  const std::optional<Network>& dit = networks[Role::Dit];
  if (!dit || said.dit) return;
  said.scheduler = checkpoint::scheduler_sampler(networks.folder);
  said.dit = distilled_of(dit->checkpoint);
}

std::optional<Distilled> distilled_of(const SamplingSaid& said, const Networks& networks) {
  const std::optional<Network>& dit = networks[Role::Dit];
  if (!dit) return {};
  std::optional<Distilled> found;
  for (std::size_t i = 0; dit->loras != nullptr && i < dit->loras->size(); ++i) {
    const auto& [file, strength] = (*dit->loras)[i];
    const auto by_lora = said.loras.find(file->path());
    if (strength != 0 && by_lora != said.loras.end())
      found = checkpoint::first_with_steps(found, by_lora->second);
  }
  return checkpoint::first_with_steps(found, said.dit.value_or(std::nullopt));
}

JobOptions with_distilled(JobOptions options, const std::optional<Distilled>& said) {
  if (!chooses(said, options)) return options;
  options.sampler = kSampler;
  options.steps = said->steps;
  return options;
}

std::string said_note(const std::optional<Distilled>& said, const JobOptions& given, const Job& job) {
  if (!said) return "";
  const std::string from = shown(said->from, std::string::npos);
  if (chooses(said, given))
    return fmt::format("sampler {}, {} steps, guidance {:g}, shift {:g}: by {}", job.sampler, job.steps,
                       job.guidance, job.shift, from);
  if (job.sampler == kSampler) return "";
  if (said->steps == 0)
    return fmt::format("{}: not the steps of {}, and {}", from, kSampler, sampling_of(job));
  if (given.sampler) return "";
  return fmt::format("{}: it is for {}, {} steps without guidance, but {};{} follows it", from, kSampler,
                     said->steps, sampling_of(job), changes_for(said->steps, given));
}

std::string distilled_note(const Networks& networks, const std::optional<Distilled>& said,
                           const JobOptions& given, const Job& job) {
  const std::optional<Network>& dit = networks[Role::Dit];
  if (!dit || !job.latents.empty()) return "";
  std::string note = said_note(said, given, job);
  if (!note.empty() || job.sampler == kSampler) return note;
  for (const std::string& path : named_paths(networks, *dit, job)) {
    const std::string word = checkpoint::distilled_by_name(path);
    if (!word.empty()) return name_note(path, word, given, job);
  }
  return "";
}

std::string scheduler_note(const SamplingSaid& said, const JobOptions& given, const Job& job) {
  // A file that chose step_distill says more than the scheduler.
  if (given.sampler || !job.latents.empty() || job.sampler == kSampler) return "";
  if (said.scheduler.empty() || said.scheduler == job.sampler) return "";
  return fmt::format(
      "scheduler_config.json means the sampler {}; this run takes {}, --sampler {} would follow it",
      said.scheduler, job.sampler, said.scheduler);
}

}  // namespace ferry::worker
