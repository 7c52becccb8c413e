#include "worker/record/results.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "base/files/pending_file.h"
#include "checkpoint/formats/safetensors.h"
#include "model/tensor.h"
#include "worker/job/latents.h"
#include "worker/job/noise.h"
#include "worker/job/without_effect.h"
#include "worker/output/files.h"
#include "worker/output/frames.h"
#include "worker/output/sheet.h"
#include "worker/record/version.h"

namespace ferry::worker {
namespace {

using Json = nlohmann::ordered_json;

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

Json named(const std::vector<std::pair<std::string, std::string>>& values) {
  Json object = Json::object();
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

// How its additions reach the weights: merged into the stored ones, or added in each call.
std::string applied(const checkpoint::LoraUse& lora, const Options& options) {
  if (lora.strength == 0) return "not applied";
  const auto& pairs = lora.file->pairs();
  const auto linears = std::ranges::count_if(pairs, [](const auto& each) { return each.second.linear; });
  const bool sequential = options.offload[Role::Dit].type == offload::StrategyKind::Sequential;
  if (!sequential || linears == 0) return "merged";
  const bool others = pairs.size() > static_cast<std::size_t>(linears) || !lora.file->differences().empty();
  return others ? "added in calls, differences merged" : "added in calls";
}

// One LoRA and its use; its scales and their sources.
Json lora_record(const LoraChoice& choice, const checkpoint::LoraUse& use, const Options& options) {
  constexpr std::size_t kNamed = 8;
  const checkpoint::LoraFile& lora = *use.file;
  Json scales = Json::array();
  for (const checkpoint::LoraScaleGroup& group : lora.scales()) {
    Json scale = {{"from", group.from}, {"linears", group.linears}};
    if (group.least == group.most) {
      scale["scale"] = group.least;
    } else {
      scale["least_scale"] = group.least;
      scale["most_scale"] = group.most;
    }
    scales.push_back(std::move(scale));
  }
  Json record = {{"path", choice.path},
                 {"file", lora.path()},
                 {"strength", use.strength},
                 {"applied", applied(use, options)},
                 {"scales", std::move(scales)}};
  if (!lora.differences().empty()) record["differences"] = lora.differences().size();
  const std::vector<std::string>& left_out = lora.left_out();
  if (left_out.empty()) return record;
  const auto end = left_out.begin() + static_cast<std::ptrdiff_t>(std::min(kNamed, left_out.size()));
  record["left_out"] = {{"count", left_out.size()},
                        {"first", std::vector<std::string>(left_out.begin(), end)}};
  return record;
}

// An object for one LoRA, a list of them for several.
Json loras_record(const Options& options, const Job& job, const checkpoint::LoraStack& loras) {
  Json records = Json::array();
  for (std::size_t i = 0; i < loras.size(); ++i)
    records.push_back(lora_record(job.loras.at(i), loras[i], options));
  return records.size() == 1 ? records[0] : records;
}

// A stage's settings as used; the resolution of `auto` is in the ranks' records.
Json offload_record(const offload::Options& o) {
  return {{"type", name_of(o.type)},
          {"offload_ratio", o.offload_ratio},
          {"prefetch_size", o.prefetch_size},
          {"pin_cpu_memory", o.pin_cpu_memory},
          {"lazy_gpu_cache", o.lazy_gpu_cache},
          {"transport", name_of(o.transport)},
          {"share", o.share ? Json(*o.share) : Json("auto")},
          {"interleave", name_of(o.interleave)},
          {"link_gbps", o.link_gbps},
          {"vram_limit", o.vram_limit ? Json(*o.vram_limit) : Json()},
          {"max_num_param", o.max_num_param ? Json(*o.max_num_param) : Json()},
          {"module_map", o.module_map},
          {"module_config", o.module_config},
          {"overflow_module_config", o.overflow_module_config}};
}

void write_pending(std::deque<PendingFile>& files, const std::string& path, std::string_view bytes) {
  PendingFile& file = files.emplace_back(path);
  file.write(std::as_bytes(std::span(bytes.data(), bytes.size())), 0);
  file.flush();
}

// Checked before the first name is given, so that either all results exist or none; commit() has the final
// word.
void refuse_if_taken(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
    throw FileError(path, EEXIST);
  }
}

// The job as done; for decoding only, without unused fields.
Json job_record(const Job& job) {
  Json record = Json::parse(to_json(job));
  record.erase("made_by");
  if (job.latents.empty()) return record;
  for (const char* sampled :
       {"prompt", "negative_prompt", "prompt_tokens", "negative_prompt_tokens", "steps", "sampler",
        "guidance", "shift", "seed", "seed_drawn", "noise", "noise_device", "context", "loras"}) {
    record.erase(sampled);
  }
  return record;
}

// The job that made the file of latents, from that file.
Json maker_record(const Job& job) {
  const Json maker = Json::parse(job.made_by, nullptr, false);
  return maker.is_object() ? maker : Json();
}

}  // namespace

void write_tensors(const Job& job, const Generation& made) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"latents", made.latents}};
  if (made.noise.defined()) tensors.emplace_back("noise", made.noise);
  for (std::size_t i = 0; i < made.contexts.size(); ++i) {
    tensors.emplace_back(i == 0 ? "positive" : "negative", made.contexts[i]);
  }
  if (made.frames.defined()) tensors.emplace_back("frames", made.frames);
  std::vector<checkpoint::TensorInfo> infos;
  for (auto& [name, tensor] : tensors) {
    tensor = tensor.contiguous();
    infos.push_back({name, model::dtype_of(tensor), tensor.sizes().vec()});
  }
  checkpoint::SafetensorsWriter file(job.save, infos);
  for (const auto& [name, tensor] : tensors) file.write(bytes_of(tensor));
  file.finish(if_taken(job.overwrite));
}

void write_results(const Options& options, const Job& job, const Generation& made, RunFacts& facts,
                   const std::function<void()>& at_work) {
  std::deque<PendingFile> files;
  write_pending(files, job.video, made.video);
  at_work();
  write_pending(files, job.sheet, png_bytes(contact_sheet(clip_of(made.frames)).view()));
  at_work();
  facts.total_s = seconds_since(facts.begin);
  write_pending(files, job.record, record_json(options, job, facts));
  if (!job.overwrite) {
    for (const std::string& path : {job.video, job.sheet, job.record, job.save}) refuse_if_taken(path);
  }
  if (!job.save.empty()) write_tensors(job, made);
  at_work();
  for (PendingFile& file : files) file.commit(if_taken(job.overwrite));
}

std::string record_json(const Options& options, const Job& job, const RunFacts& facts) {
  Json json;
  json["versions"] = named(versions());
  json["job"] = job_record(job);
  const bool sampled = job.latents.empty();
  if (sampled) json["noise"] = noise_source(job);
  if (!sampled) json["latents_made_by"] = maker_record(job);
  json["options"] = named(options.echo);
  for (const RoleEntry& entry : roles()) {
    if (!entry.needed({.latents = !sampled})) continue;
    json["offload"][std::string(entry.name)] = offload_record(options.offload[entry.role]);
  }
  const std::vector<std::string> unused = options_without_effect(options, job);
  if (!sampled || !unused.empty()) json["without_effect"] = unused;
  if (facts.loras != nullptr) json["lora"] = loras_record(options, job, *facts.loras);
  json["model"] = {{"folder", facts.model_folder}, {"notes", facts.notes}};
  for (const auto& [network, found] : facts.quantization)
    json["quantization"][network] = Json::parse(to_json(found));
  json["mesh"] = {{"data", facts.mesh.data}, {"cfg", facts.mesh.cfg}, {"ulysses", facts.mesh.ulysses}};
  if (sampled) json["cfg"] = {{"mode", word_of(facts.cfg.mode)}, {"why", facts.cfg.why}};
  if (facts.steps_before > 0) json["steps_before"] = facts.steps_before;
  json["backend"] = facts.backend;
  json["attention"] = facts.attention;
  json["total_s"] = facts.total_s;
  json["ranks"] = Json::array();
  for (const RankRecord& rank : facts.ranks) json["ranks"].push_back(Json::parse(to_json(rank)));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ferry::worker
