#include "worker/state/run_identity.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "base/files/fingerprint.h"
#include "base/text/describe.h"
#include "checkpoint/formats/safetensors.h"
#include "parallel/options.h"

namespace ferry::worker {
namespace {

using Values = Identity::Values;

constexpr std::size_t kEndBytes = 32 << 10;

std::string hash_of(const std::byte* data, std::size_t bytes) {
  return fingerprint({reinterpret_cast<const char*>(data), bytes});
}

// Bytes from the tensor's first to its last element.
std::size_t span_bytes(const checkpoint::TensorEntry& entry) {
  if (entry.numel() == 0) return 0;
  std::int64_t last = 0;
  for (std::size_t i = 0; i < entry.shape.size(); ++i) last += (entry.shape[i] - 1) * entry.strides[i];
  return static_cast<std::size_t>(last + 1) * size_of(entry.dtype);
}

std::string content_of(const checkpoint::TensorEntry& entry) {
  const std::size_t bytes = span_bytes(entry);
  if (bytes <= 2 * kEndBytes) return hash_of(entry.data, bytes);
  const std::string ends =
      hash_of(entry.data, kEndBytes) + hash_of(entry.data + bytes - kEndBytes, kEndBytes);
  return fingerprint(ends);
}

std::string mark_of(const checkpoint::TensorEntry& entry) {
  return fmt::format("{} {} {}", name_of(entry.dtype), shape_text(entry.shape), content_of(entry));
}

Values marks_of(const checkpoint::Checkpoint& checkpoint) {
  Values marks;
  for (const checkpoint::TensorEntry& entry : checkpoint.entries())
    marks.emplace_back(entry.key.empty() ? entry.source_key : entry.key, mark_of(entry));
  return marks;
}

Values marks_of(const checkpoint::LoraFile& lora) {
  Values marks;
  for (const auto& [module, pair] : lora.pairs()) {
    marks.emplace_back(module,
                       fmt::format("{} {} scale {}", mark_of(pair.down), mark_of(pair.up), pair.scale));
  }
  for (const auto& [key, difference] : lora.differences())
    marks.emplace_back(key, "difference " + mark_of(difference));
  return marks;
}

// Those of the run, in order; without those of strength 0.
checkpoint::LoraStack loras_of(const IdentitySource& source) {
  const Network* dit = needed_network(source.networks, Role::Dit, given_to(source.job));
  if (dit == nullptr || dit->loras == nullptr) return {};
  checkpoint::LoraStack used;
  std::ranges::copy_if(*dit->loras, std::back_inserter(used),
                       [](const auto& each) { return each.strength != 0; });
  return used;
}

// "lora", then "lora 2".
std::string numbered(const std::string& name, std::size_t i) {
  return i == 0 ? name : fmt::format("{} {}", name, i + 1);
}

// Of whole tensors, which are small.
std::string file_hash(const std::string& path, std::initializer_list<const char*> names) {
  const auto file = checkpoint::SafetensorsFile::open(path);
  std::string text;
  for (const char* name : names) {
    const checkpoint::TensorEntry& entry = file.at(name);
    text += fmt::format("{} {} {};", name_of(entry.dtype), shape_text(entry.shape),
                        hash_of(entry.data, span_bytes(entry)));
  }
  return "file " + fingerprint(text);
}

std::string list_of(const std::map<std::string, std::string>& settings) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : settings) parts.push_back(key + "=" + value);
  return fmt::format("{}", fmt::join(parts, ","));
}

void add_inputs(Values& values, const Job& job) {
  if (!job.context.empty()) {
    values.emplace_back("context", job.guided() ? file_hash(job.context, {"positive", "negative"})
                                                : file_hash(job.context, {"positive"}));
  } else {
    values.emplace_back("prompt", job.prompt);
    if (job.guided()) values.emplace_back("negative_prompt", job.negative_prompt);
  }
  if (job.noise.empty()) {
    values.emplace_back(kSeedValue, std::to_string(job.seed));
    values.emplace_back("noise_device", job.noise_device);
  } else {
    values.emplace_back("noise", file_hash(job.noise, {"noise"}));
  }
}

void add_sampling(Values& values, const Job& job) {
  values.emplace_back("size", fmt::format("{}x{}", job.width, job.height));
  values.emplace_back("frames", std::to_string(job.frames));
  values.emplace_back("steps", std::to_string(job.steps));
  values.emplace_back("sampler", job.sampler);
  values.emplace_back("guidance", fmt::format("{}", job.guidance));
  values.emplace_back("shift", fmt::format("{}", job.shift));
}

// Of all strategies only `sequential` has types of its own, and adds a LoRA in calls.
void add_weights(Values& values, const IdentitySource& source) {
  for (const RoleEntry& entry : roles()) {
    const Network* network = needed_network(source.networks, entry.role, given_to(source.job));
    if (network == nullptr) continue;
    const std::string name(entry.name);
    values.emplace_back(name + " dtype", std::string(name_of(network->compute)));
    const offload::Options& offload = source.options.offload[entry.role];
    if (offload.type != offload::StrategyKind::Sequential) continue;
    if (!offload.module_config.empty())
      values.emplace_back(name + ".offload.module_config", list_of(offload.module_config));
    if (!offload.overflow_module_config.empty())
      values.emplace_back(name + ".offload.overflow_module_config", list_of(offload.overflow_module_config));
  }
  const checkpoint::LoraStack loras = loras_of(source);
  if (loras.empty()) return;
  const bool in_calls = source.options.offload[Role::Dit].type == offload::StrategyKind::Sequential;
  for (std::size_t i = 0; i < loras.size(); ++i)
    values.emplace_back(numbered("lora.strength", i), fmt::format("{}", loras[i].strength));
  values.emplace_back("lora", in_calls ? "added in calls (sequential)" : "merged");
}

void add_ranks(Values& values, const IdentitySource& source) {
  values.emplace_back(kRanksValue, std::to_string(source.mesh.size()));
  values.emplace_back(kCfgValue, word_of(source.options.parallel.cfg));
  values.emplace_back("ulysses", std::to_string(source.mesh.ulysses));
  const bool cpu = source.device == DeviceType::Cpu;
  values.emplace_back("device", cpu ? "cpu" : "cuda");
  if (cpu) values.emplace_back("threads per rank", std::to_string(at::get_num_threads()));
}

}  // namespace

Identity values_of(const IdentitySource& source) {
  Identity identity;
  add_inputs(identity.values, source.job);
  add_sampling(identity.values, source.job);
  add_weights(identity.values, source);
  add_ranks(identity.values, source);
  return identity;
}

WeightFiles weight_files_of(const IdentitySource& source) {
  WeightFiles files;
  for (const RoleEntry& entry : roles()) {
    const Network* network = needed_network(source.networks, entry.role, given_to(source.job));
    if (network == nullptr) continue;
    files.networks.emplace_back(entry.name, network->checkpoint);
  }
  for (const checkpoint::LoraUse& lora : loras_of(source)) files.loras.push_back(lora.file);
  return files;
}

void add_tensors(Identity& identity, const WeightFiles& files) {
  for (const auto& [name, checkpoint] : files.networks)
    identity.tensors.emplace_back(name, marks_of(checkpoint));
  for (std::size_t i = 0; i < files.loras.size(); ++i)
    identity.tensors.emplace_back(numbered("lora", i), marks_of(*files.loras[i]));
}

}  // namespace ferry::worker
