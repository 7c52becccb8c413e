#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/text/describe.h"
#include "checkpoint/inspect/inspect.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kListed = 12;  // names listed in the text; the JSON has all

std::string names_text(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  std::string text = fmt::format("  {} ({}):", title, names.size());
  for (std::size_t i = 0; i < std::min(kListed, names.size()); ++i) text += "\n    " + printable(names[i]);
  if (names.size() > kListed) text += fmt::format("\n    and {} more", names.size() - kListed);
  return text + "\n";
}

std::string part_text(const PartReport& part, bool list_tensors) {
  std::string text = fmt::format("{}: {}\n", name_of(part.part), part.usable() ? "complete" : "not usable");
  if (!part.error.empty()) text += fmt::format("  {}\n", part.error);
  if (part.files.empty()) return text;
  text += fmt::format("  {} layout, {}, {}{}\n", part.layout, part.format, part.files[0],
                      part.files.size() == 1 ? "" : fmt::format(" and {} more", part.files.size() - 1));
  text += fmt::format("  {} tensors, {} parameters, {:.3f} GB:", part.tensors.size(), part.parameters,
                      static_cast<double>(part.bytes) / 1e9);
  for (const auto& [dtype, count] : part.dtype_tensors) {
    text += fmt::format(" {} {} ({:.3f} GB)", count, dtype,
                        static_cast<double>(part.dtype_bytes.at(dtype)) / 1e9);
  }
  text += "\n";
  if (part.quantization.any()) text += fmt::format("  {}\n", text_of(part.quantization));
  for (const auto& [name, value] : part.config) text += fmt::format("  {} = {}\n", name, value);
  text += names_text("missing", part.missing);
  text += names_text("missing, not needed to decode", part.missing_optional);
  text += names_text("unexpected", part.unexpected);
  text += names_text("unknown in config.json", part.unknown_settings);
  for (const std::string& note : part.notes) text += fmt::format("  {}\n", note);
  for (const WrongShape& wrong : part.wrong_shapes) {
    text += fmt::format("  {}: shape {}, expected {}\n", wrong.key, shape_text(wrong.found),
                        shape_text(wrong.expected));
  }
  if (!list_tensors) return text;
  for (const ListedTensor& tensor : part.tensors) {
    text += fmt::format("    {} {} {}\n", printable(tensor.source_key), name_of(tensor.dtype),
                        shape_text(tensor.shape));
  }
  return text;
}

ordered_json part_json(const PartReport& part) {
  ordered_json json = {{"part", name_of(part.part)},
                       {"usable", part.usable()},
                       {"error", part.error},
                       {"layout", part.layout},
                       {"format", part.format},
                       {"files", part.files},
                       {"parameters", part.parameters},
                       {"bytes", part.bytes},
                       {"dtype_bytes", part.dtype_bytes},
                       {"dtype_tensors", part.dtype_tensors}};
  json["quantization"] = ordered_json::parse(to_json(part.quantization));
  json["config"] = ordered_json::object();
  for (const auto& [name, value] : part.config) json["config"][name] = value;
  json["missing"] = part.missing;
  json["missing_optional"] = part.missing_optional;
  json["unexpected"] = part.unexpected;
  json["unknown_settings"] = part.unknown_settings;
  json["notes"] = part.notes;
  json["wrong_shapes"] = ordered_json::array();
  for (const WrongShape& wrong : part.wrong_shapes) {
    json["wrong_shapes"].push_back(
        {{"key", wrong.key}, {"expected", wrong.expected}, {"found", wrong.found}});
  }
  json["tensors"] = ordered_json::array();
  for (const ListedTensor& tensor : part.tensors) {
    json["tensors"].push_back({{"key", tensor.key},
                               {"source_key", tensor.source_key},
                               {"file", tensor.file},
                               {"dtype", name_of(tensor.dtype)},
                               {"shape", tensor.shape}});
  }
  return json;
}

}  // namespace

std::string to_text(const InspectReport& report, bool list_tensors) {
  std::string text = report.path + "\n";
  for (const PartReport& part : report.parts) text += part_text(part, list_tensors);
  text += "tokenizer: " + (report.tokenizer.empty() ? report.tokenizer_error : report.tokenizer) + "\n";
  if (!report.scheduler_error.empty()) text += "scheduler: " + report.scheduler_error + "\n";
  return text;
}

std::string to_json(const InspectReport& report) {
  ordered_json json = {{"path", report.path}, {"usable", report.usable()}, {"parts", ordered_json::array()}};
  for (const PartReport& part : report.parts) json["parts"].push_back(part_json(part));
  json["tokenizer"] = report.tokenizer;
  json["tokenizer_error"] = report.tokenizer_error;
  json["scheduler_error"] = report.scheduler_error;
  // File names need not be UTF-8.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ferry::checkpoint
