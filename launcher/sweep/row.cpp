#include "launcher/sweep/row.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text/shown.h"
#include "bench/decode.h"
#include "launcher/sweep/machine_state.h"
#include "worker/record/version.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;

Json used_of(const worker::StepResult& result) {
  const offload::Report& report = result.report;
  return {{"cfg", word_of(result.cfg)},
          {"ulysses", result.mesh.ulysses},
          {"attention", result.attention},
          {"exchange", result.exchange},
          {"type", word_of(report.type)},
          {"type_why", report.type_why},
          {"predicted_step_s", report.predicted_step_s},
          {"transport", word_of(report.transport)},
          {"share", report.share},
          {"share_why", report.share_why},
          {"interleave", word_of(report.interleave)},
          {"blocks", report.blocks},
          {"ferried_blocks", report.offloaded},
          {"slots", report.slots},
          {"pinned", report.pinned},
          {"guidance", result.job.guidance},
          {"load_s", result.load_s}};
}

// Of a row that somebody may have edited: null, or of another type, is "-".
std::string text_of(const Json& row, const char* name) {
  const Json value = row.value(name, Json());
  if (value.is_string()) return shown(value.get<std::string>());
  return value.is_number() ? value.dump() : "-";
}

double number_of(const Json& row, const char* name) {
  const auto value = row.find(name);
  return value != row.end() && value->is_number() ? value->get<double>() : 0;
}

std::string seconds_of(const Json& row, const char* name) {
  const Json value = row.value(name, Json());
  return value.is_number() ? fmt::format("{:.4f}", value.get<double>()) : "-";
}

std::string table_row(const Json& row) {
  std::string text = fmt::format("{:>5} {:>8} {:>10} {:>9} {:>6} {:>5} {:>9} {:>6} ", text_of(row, "ranks"),
                                 text_of(row, "cfg"), text_of(row, "type"), text_of(row, "transport"),
                                 text_of(row, "offload_ratio"), text_of(row, "link_gbps"),
                                 text_of(row, "size"), text_of(row, "frames"));
  if (row.contains("error")) return text + text_of(row, "error") + "\n";
  const double bytes = number_of(row, "gpu_bytes") + number_of(row, "activations_bytes");
  return text + fmt::format("{:>9} {:>6.1f}% {:>9} {:>11} {:>9.3f} {:>11}\n", seconds_of(row, "step_s"),
                            100 * number_of(row, "step_spread"), seconds_of(row, "exposed_copy_s"),
                            seconds_of(row, "exposed_exchange_s"), 1e-9 * bytes,
                            seconds_of(row, "predicted_step_s"));
}

}  // namespace

Json measured_fields(const worker::StepResult& result, int ranks) {
  const worker::StepTimes& times = result.times;
  const double step = bench::median(times.step_s);
  const auto [least, most] = std::ranges::minmax(times.step_s);
  return {{"step_s", step},
          {"step_least_s", least},
          {"step_most_s", most},
          {"step_spread", (most - least) / step},
          {"samples_s", times.step_s},
          {"exposed_copy_s", bench::median(times.exposed_copy_s)},
          {"exposed_exchange_s", bench::median(times.exposed_exchange_s)},
          {"ferried_bytes", times.ferried_bytes},
          {"copy_gbps", times.copy_gbps},
          {"gpu_bytes", times.weights_peak_bytes},
          {"activations_bytes", times.activations_peak_bytes},
          {"node_bytes", result.report.host_bytes},
          {"host_peak_bytes", times.host_peak_bytes},
          {"video_steps", result.job.steps},
          {"gpu_s_per_video", step * ranks * result.job.steps},
          {"device", result.device},
          {"used", used_of(result)}};
}

std::string row_of(const std::string& cell, const Json& fields, const Json& outcome) {
  Json row = {{"cell", cell}};
  row.update(fields);
  row.update(outcome);
  for (const auto& [name, version] : worker::versions()) row["versions"][name] = version;
  row["clocks"] = clocks();
  row["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  return row.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string table_of(const std::vector<std::string>& rows) {
  std::string text =
      fmt::format("{:>5} {:>8} {:>10} {:>9} {:>6} {:>5} {:>9} {:>6} {:>9} {:>7} {:>9} {:>11} {:>9} {:>11}\n",
                  "ranks", "cfg", "type", "transport", "ratio", "link", "size", "frames", "step s", "spread",
                  "copy s", "exchange s", "GPU GB", "predicted s");
  for (const std::string& row : rows) text += table_row(Json::parse(row));
  return text;
}

}  // namespace ferry::launcher
