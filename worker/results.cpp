#include "worker/results.h"

#include <nlohmann/json.hpp>
#include <span>

#include "model/checkpoint/safetensors.h"
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

void save_tensors(const Job& job, const Generation& made) {
  const at::Tensor latents = made.latents.contiguous();
  model::SafetensorsWriter file(job.save, {{"latents", DType::F32, latents.sizes().vec()},
                                           {"frames", DType::U8, made.frames.sizes().vec()}});
  file.write(bytes_of(latents));
  file.write(bytes_of(made.frames));
  file.finish();
}

Json named(const std::vector<std::pair<std::string, std::string>>& values) {
  Json object = Json::object();
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

}  // namespace

void write_results(const Job& job, const Generation& made) {
  const Clip clip = clip_of(made.frames);
  const VideoFormat format{
      .width = clip.width, .height = clip.height, .fps = job.fps, .scale = job.out_scale};
  publish(job.video, encode_video(clip, format, job.codec), job.overwrite);
  publish(job.sheet, png_bytes(contact_sheet(clip).view()), job.overwrite);
  if (!job.save.empty()) save_tensors(job, made);
}

std::string sidecar_json(const Options& options, const Job& job, const RunFacts& facts) {
  Json json;
  json["versions"] = named(versions());
  json["job"] = Json::parse(to_json(job));
  json["noise"] = noise_source(job);
  json["options"] = named(options.echo);
  json["mesh"] = {{"data", facts.mesh.data}, {"cfg", facts.mesh.cfg}, {"ulysses", facts.mesh.ulysses}};
  json["backend"] = facts.backend;
  json["total_s"] = facts.total_s;
  json["ranks"] = Json::array();
  for (const RankRecord& rank : facts.ranks) json["ranks"].push_back(Json::parse(to_json(rank)));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ferry::worker
