#include "worker/record.h"

#include <nlohmann/json.hpp>

namespace ferry::offload {

NLOHMANN_JSON_SERIALIZE_ENUM(Type, {{Type::None, "none"},
                                    {Type::Model, "model"},
                                    {Type::Sequential, "sequential"},
                                    {Type::Async, "async"},
                                    {Type::Auto, "auto"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Transport, {{Transport::Full, "full"},
                                         {Transport::Sharded, "sharded"},
                                         {Transport::Auto, "auto"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Interleave, {{Interleave::Free, "free"},
                                          {Interleave::Gated, "gated"},
                                          {Interleave::Auto, "auto"}})
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report, stage, type, transport, interleave, blocks, offloaded, slots,
                                   host_memory, host_bytes, pinned, passes, copied_once_bytes, ferried_bytes,
                                   gathered_bytes, skipped_bytes, copy_ms, exposed_copy_ms,
                                   exposed_ms_by_block, promotions, demotions)

}  // namespace ferry::offload

namespace ferry::worker {

void to_json(nlohmann::json& json, const StageRecord& stage) {
  json = {{"name", stage.name},
          {"load_s", stage.load_s},
          {"run_s", stage.run_s},
          {"step_s", stage.step_s},
          {"weights_peak_bytes", stage.weights_peak_bytes},
          {"torch_peak_bytes", stage.torch_peak_bytes},
          {"peak_pss_bytes", stage.peak_pss_bytes},
          {"offload", stage.offload ? nlohmann::json(*stage.offload) : nlohmann::json()}};
}

void from_json(const nlohmann::json& json, StageRecord& stage) {
  json.at("name").get_to(stage.name);
  json.at("load_s").get_to(stage.load_s);
  json.at("run_s").get_to(stage.run_s);
  json.at("step_s").get_to(stage.step_s);
  json.at("weights_peak_bytes").get_to(stage.weights_peak_bytes);
  json.at("torch_peak_bytes").get_to(stage.torch_peak_bytes);
  json.at("peak_pss_bytes").get_to(stage.peak_pss_bytes);
  if (!json.at("offload").is_null()) stage.offload = json.at("offload").get<offload::Report>();
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankRecord, rank, host, device, peak_rss_bytes, stages)

std::string to_json(const RankRecord& record) { return nlohmann::json(record).dump(); }

RankRecord rank_record_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<RankRecord>();
}

}  // namespace ferry::worker
