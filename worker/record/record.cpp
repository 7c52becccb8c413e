#include "worker/record/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ferry::offload {

template <Worded Enum>
void to_json(nlohmann::json& json, Enum value) {
  json = word_of(value);
}

template <Worded Enum>
void from_json(const nlohmann::json& json, Enum& value) {
  value = from_word<Enum>(json.get<std::string>()).value();
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report, stage, type, type_why, predicted_step_s, transport, share, parts,
                                   share_settled, share_why, interleave, blocks, offloaded, slots,
                                   host_memory, host_bytes, huge_bytes, pinned, passes, copied_once_bytes,
                                   ferried_bytes, gathered_bytes, skipped_bytes, copy_ms, exposed_copy_ms,
                                   exposed_ms_by_block, exposed_ms_by_pass, promotions, demotions)

}  // namespace ferry::offload

namespace ferry::worker {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Exposed, ms, ms_by_step, ms_by_block)

void to_json(nlohmann::json& json, const StageRecord& stage) {
  json = {{"name", stage.name},
          {"warm_up_s", stage.warm_up_s},
          {"load_s", stage.load_s},
          {"pin_s", stage.pin_s},
          {"pin_first_s", stage.pin_first_s},
          {"pin_all_s", stage.pin_all_s},
          {"prepare_s", stage.prepare_s},
          {"run_s", stage.run_s},
          {"step_s", stage.step_s},
          {"exposed_copy", stage.exposed_copy},
          {"exposed_exchange", stage.exposed_exchange},
          {"weights_peak_bytes", stage.weights_peak_bytes},
          {"weights_peak_by_category", stage.weights_peak_by_category},
          {"torch_peak_bytes", stage.torch_peak_bytes},
          {"torch_allocated_peak_bytes", stage.torch_allocated_peak_bytes},
          {"activation_estimate_bytes", stage.activation_estimate_bytes},
          {"peak_host_bytes", stage.peak_host_bytes},
          {"offload", stage.offload ? nlohmann::json(*stage.offload) : nlohmann::json()}};
}

void from_json(const nlohmann::json& json, StageRecord& stage) {
  json.at("name").get_to(stage.name);
  json.at("warm_up_s").get_to(stage.warm_up_s);
  json.at("load_s").get_to(stage.load_s);
  json.at("pin_s").get_to(stage.pin_s);
  json.at("pin_first_s").get_to(stage.pin_first_s);
  json.at("pin_all_s").get_to(stage.pin_all_s);
  json.at("prepare_s").get_to(stage.prepare_s);
  json.at("run_s").get_to(stage.run_s);
  json.at("step_s").get_to(stage.step_s);
  json.at("exposed_copy").get_to(stage.exposed_copy);
  json.at("exposed_exchange").get_to(stage.exposed_exchange);
  json.at("weights_peak_bytes").get_to(stage.weights_peak_bytes);
  json.at("weights_peak_by_category").get_to(stage.weights_peak_by_category);
  json.at("torch_peak_bytes").get_to(stage.torch_peak_bytes);
  json.at("torch_allocated_peak_bytes").get_to(stage.torch_allocated_peak_bytes);
  json.at("activation_estimate_bytes").get_to(stage.activation_estimate_bytes);
  json.at("peak_host_bytes").get_to(stage.peak_host_bytes);
  if (!json.at("offload").is_null()) stage.offload = json.at("offload").get<offload::Report>();
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankRecord, rank, host, device, peak_rss_bytes, stages)

std::string to_json(const StageRecord& stage) { return nlohmann::json(stage).dump(); }

std::string to_json(const RankRecord& record) { return nlohmann::json(record).dump(); }

RankRecord rank_record_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<RankRecord>();
}

Exposed exposed_of(const StreamTimes& times, int steps) {
  Exposed exposed{.ms = times.ms, .ms_by_step = {}, .ms_by_block = times.ms_by_place};
  const std::size_t passes = times.ms_by_pass.size() / static_cast<std::size_t>(steps);
  if (passes == 0) return exposed;
  exposed.ms_by_step.resize(static_cast<std::size_t>(steps));
  for (std::size_t i = 0; i < passes * exposed.ms_by_step.size(); ++i)
    exposed.ms_by_step[i / passes] += times.ms_by_pass[i];
  return exposed;
}

std::string waits_text(const std::vector<RankRecord>& ranks) {
  double copy_ms = 0;
  double exchange_ms = 0;
  for (const RankRecord& rank : ranks) {
    for (const StageRecord& stage : rank.stages) {
      const auto steps = static_cast<double>(std::max<std::size_t>(stage.step_s.size(), 1));
      copy_ms = std::max(copy_ms, stage.exposed_copy.ms / steps);
      exchange_ms = std::max(exchange_ms, stage.exposed_exchange.ms / steps);
    }
  }
  return fmt::format(
      "compute stood still {:.1f} ms a step for weights, {:.1f} ms for exchanges (what copies and gathers "
      "slow down is not counted)",
      copy_ms, exchange_ms);
}

std::string memory_text(const StageRecord& stage) {
  const auto gb = [](std::size_t bytes) { return fmt::format("{:.3f}", static_cast<double>(bytes) / 1e9); };
  std::string parts;
  for (const auto& [category, bytes] : stage.weights_peak_by_category) {
    if (bytes > 0) parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", category, gb(bytes));
  }
  return fmt::format("{} GB of weights{} and {} GB of activations", gb(stage.weights_peak_bytes),
                     parts.empty() ? "" : " (" + parts + ")", gb(stage.torch_peak_bytes));
}

}  // namespace ferry::worker
