#include "worker/results.h"

#include <nlohmann/json.hpp>
#include <span>

#include "model/checkpoint/safetensors.h"
#include "model/tensor.h"
#include "worker/noise.h"
#include "worker/output/files.h"
#include "worker/output/frames.h"
#include "worker/output/sheet.h"
#include "worker/version.h"

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

// Which LoRA and how: merged into the stored weights, or added in each call; by which scales, from where.
Json lora_record(const Options& options, const model::LoraFile& lora) {
  const bool in_calls = options.dit.type == offload::Type::Sequential;
  const char* how = !options.lora.used() ? "not applied" : in_calls ? "added in calls" : "merged";
  Json scales = Json::array();
  for (const model::LoraScaleGroup& group : lora.scales()) {
    Json scale = {{"from", group.from}, {"linears", group.linears}};
    if (group.least == group.most) {
      scale["scale"] = group.least;
    } else {
      scale["least_scale"] = group.least;
      scale["most_scale"] = group.most;
    }
    scales.push_back(std::move(scale));
  }
  return {{"path", options.lora.path},
          {"file", lora.path()},
          {"strength", options.lora.strength},
          {"applied", how},
          {"scales", std::move(scales)}};
}

// The settings of a stage as they were used; what became of `auto` is in the ranks' records.
Json offload_record(const offload::Options& o) {
  return {{"type", name_of(o.type)},
          {"offload_ratio", o.offload_ratio},
          {"prefetch_size", o.prefetch_size},
          {"pin_cpu_memory", o.pin_cpu_memory},
          {"lazy_gpu_cache", o.lazy_gpu_cache},
          {"transport", name_of(o.transport)},
          {"interleave", name_of(o.interleave)},
          {"link_gbps", o.link_gbps},
          {"vram_limit", o.vram_limit ? Json(*o.vram_limit) : Json()},
          {"max_num_param", o.max_num_param ? Json(*o.max_num_param) : Json()},
          {"module_map", o.module_map},
          {"module_config", o.module_config},
          {"overflow_module_config", o.overflow_module_config}};
}

}  // namespace

void write_tensors(const Job& job, const Generation& made) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"latents", made.latents}, {"noise", made.noise}, {"positive", made.contexts.at(0)}};
  if (made.contexts.size() > 1) tensors.emplace_back("negative", made.contexts[1]);
  if (made.frames.defined()) tensors.emplace_back("frames", made.frames);
  std::vector<model::TensorInfo> infos;
  for (auto& [name, tensor] : tensors) {
    tensor = tensor.contiguous();
    infos.push_back({name, model::dtype_of(tensor), tensor.sizes().vec()});
  }
  model::SafetensorsWriter file(job.save, infos);
  for (const auto& [name, tensor] : tensors) file.write(bytes_of(tensor));
  file.finish();
}

void write_results(const Job& job, const Generation& made) {
  const Clip clip = clip_of(made.frames);
  const VideoFormat format{
      .width = clip.width, .height = clip.height, .fps = job.fps, .scale = job.out_scale};
  publish(job.video, encode_video(clip, format, job.codec), job.overwrite);
  publish(job.sheet, png_bytes(contact_sheet(clip).view()), job.overwrite);
  if (!job.save.empty()) write_tensors(job, made);
}

std::string sidecar_json(const Options& options, const Job& job, const RunFacts& facts) {
  Json json;
  json["versions"] = named(versions());
  json["job"] = Json::parse(to_json(job));
  json["noise"] = noise_source(job);
  json["options"] = named(options.echo);
  json["offload"] = {{"dit", offload_record(options.dit)},
                     {"vae", offload_record(options.vae)},
                     {"text_encoder", offload_record(options.text_encoder)}};
  if (facts.lora != nullptr) json["lora"] = lora_record(options, *facts.lora);
  json["model"] = {{"folder", facts.model_folder}, {"notes", facts.notes}};
  for (const auto& [network, found] : facts.quantization)
    json["quantization"][network] = Json::parse(to_json(found));
  json["mesh"] = {{"data", facts.mesh.data}, {"cfg", facts.mesh.cfg}, {"ulysses", facts.mesh.ulysses}};
  json["backend"] = facts.backend;
  json["total_s"] = facts.total_s;
  json["ranks"] = Json::array();
  for (const RankRecord& rank : facts.ranks) json["ranks"].push_back(Json::parse(to_json(rank)));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ferry::worker
