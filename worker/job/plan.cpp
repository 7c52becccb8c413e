#include "worker/job/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/host/memory_use.h"
#include "base/text/describe.h"
#include "base/text/shown.h"
#include "parallel/ulysses.h"

namespace ferry::worker {
namespace {

constexpr double kGigabyte = 1e9;

std::string weights_lines(const Network& network, std::size_t activation_bytes) {
  const offload::ArenaLayout& layout = network.plan.arena.layout;
  std::string line =
      fmt::format("\n  {:<13} {:7.3f} GB of weights in {} blocks, about {:.3f} GB of activations, {}",
                  network.spec.name, static_cast<double>(layout.bytes) / kGigabyte, layout.blocks.size(),
                  static_cast<double>(activation_bytes) / kGigabyte, name_of(network.compute));
  const checkpoint::Quantization& quantization = network.checkpoint.quantization();
  if (quantization.any()) line += fmt::format("\n  {:<13} {}", "", text_of(quantization));
  return line;
}

std::string networks_lines(const Engine& engine, const Prepared& prepared) {
  std::string text;
  for (const RoleEntry& entry : roles_in_turn()) {
    const Network* network = needed_network(engine.networks(), entry.role, given_to(prepared.job));
    if (network == nullptr) continue;
    const StageCase stage{prepared.options, prepared.job, engine.networks(), prepared.mesh};
    text += weights_lines(*network, entry.activation_bytes(stage));
  }
  return text;
}

// "LoRA x.safetensors: 30 linears, scale 4 (lora_alpha of the file's header); strength 1"
std::string lora_lines(const checkpoint::LoraFile& lora, double strength) {
  constexpr std::size_t kNamed = 3;
  std::string parts;
  for (const checkpoint::LoraScaleGroup& group : lora.scales()) {
    const std::string scale = group.least == group.most
                                  ? fmt::format("scale {:g}", group.least)
                                  : fmt::format("scales {:g} to {:g}", group.least, group.most);
    parts +=
        fmt::format("{}{} linears, {} ({})", parts.empty() ? "" : ", ", group.linears, scale, group.from);
  }
  if (!lora.differences().empty())
    parts += fmt::format("{}{} differences", parts.empty() ? "" : ", ", lora.differences().size());
  std::string text = fmt::format("\n  LoRA {}: {}; strength {:g}", lora.path(), parts, strength);
  for (const std::string& note : lora.notes()) text += "\n  LoRA " + note;
  const std::size_t left_out = lora.left_out().size();
  if (left_out == 0) return text;
  text += fmt::format("\n  LoRA {}: {} tensors left out, as lora.unmatched says: ", lora.path(), left_out);
  const std::span<const std::string> named(lora.left_out().data(), std::min(left_out, kNamed));
  for (const std::string& name : named) text += printable(name) + (&name == &named.back() ? "" : ", ");
  if (left_out > kNamed) text += fmt::format(" and {} more", left_out - kNamed);
  return text;
}

std::string memory_line(const Device& device) {
  const HostMemory host = host_memory();
  std::string text = fmt::format("\n  host memory   {:7.3f} GB available of {:.3f}",
                                 static_cast<double>(host.available_bytes) / kGigabyte,
                                 static_cast<double>(host.total_bytes) / kGigabyte);
  if (device.type() == DeviceType::Cuda) {
    const MemoryUse gpu = device.memory();
    text += fmt::format("\n  device memory {:7.3f} GB free of {:.3f}",
                        static_cast<double>(gpu.free_bytes) / kGigabyte,
                        static_cast<double>(gpu.total_bytes) / kGigabyte);
  }
  return text;
}

std::string sampling_text(const Job& job) {
  if (!job.latents.empty()) return fmt::format("decoded from {}", job.latents);
  const auto& latent = job.latent_shape;
  return fmt::format("{} {} steps, guidance {:g}, shift {:g}, seed {}; {} tokens", job.steps, job.sampler,
                     job.guidance, job.shift, job.seed, latent[1] * latent[2] * latent[3] / 4);
}

// Describes uneven heads: attention waits for the ranks with one head more.
std::string heads_line(const Rank& rank, const model::DitConfig& dit) {
  if (dit.heads % rank.mesh.ulysses == 0) return {};
  const parallel::HeadSplit split(dit.heads, rank.mesh.ulysses);
  return fmt::format("\n  {} heads on {} ranks: {} or {} each", split.heads(), split.ranks(), split.most(),
                     split.fewest());
}

}  // namespace

std::string loras_text(const Networks& networks) {
  std::string text;
  const std::optional<Network>& dit = networks[Role::Dit];
  if (!dit || !dit->loras) return text;
  for (const auto& [file, strength] : *dit->loras) text += lora_lines(*file, strength);
  return text;
}

std::string plan_text(const Engine& engine, const Prepared& prepared) {
  const Job& job = prepared.job;
  const Rank& rank = engine.rank();
  std::string text = fmt::format("{}x{}, {} frames, {}\n  {} rank{} (cfg {}, ulysses {}) on {} ({})\n  to {}",
                                 job.width, job.height, job.frames, sampling_text(job), rank.session->size(),
                                 rank.session->size() == 1 ? "" : "s", rank.mesh.cfg, rank.mesh.ulysses,
                                 rank.device->name(), rank.backend(), shown(job.video, std::string::npos));
  if (!prepared.cfg.why.empty()) {
    text += fmt::format("\n  cfg auto is {}: {}", word_of(prepared.cfg.mode), prepared.cfg.why);
  }
  const Network* dit = needed_network(engine.networks(), Role::Dit, given_to(job));
  if (dit != nullptr) text += heads_line(rank, engine.networks().facts.dit);
  text += networks_lines(engine, prepared);
  if (dit != nullptr) text += fmt::format("\n  attention {}", attention_name(engine, job));
  if (dit != nullptr) text += loras_text(engine.networks());
  return text + memory_line(*rank.device);
}

}  // namespace ferry::worker
