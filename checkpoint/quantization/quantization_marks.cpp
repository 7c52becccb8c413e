#include "checkpoint/quantization/quantization_marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/names/keys.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;

struct Format {
  std::string_view name;
  DType dtype;
  bool rows;
  bool blocks;
};
constexpr std::array<Format, 6> kFormats = {{{"float8_e4m3fn", DType::F8E4M3, true, true},
                                             {"float8_e4m3fn_rowwise", DType::F8E4M3, true, false},
                                             {"float8_e4m3fn_blockwise", DType::F8E4M3, false, true},
                                             {"int8_tensorwise", DType::I8, true, false},
                                             {"int8_rowwise", DType::I8, true, false},
                                             {"int8_blockwise", DType::I8, false, true}}};

std::string text_of(const json& value) {
  return printable(value.dump(-1, ' ', true, json::error_handler_t::replace));
}

[[noreturn]] void refuse(const std::string& place, const std::string& why) {
  throw UserError(fmt::format("{}: fp8 scales: {}", place, why));
}

bool says_nothing(const json& value) { return value.is_null() || value == json(false); }

std::int64_t block_size(const json& value, const std::string& place, const char* name) {
  constexpr std::int64_t kMost = 1 << 30;
  const bool number = value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
                      value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMost);
  if (!number)
    refuse(place, fmt::format("{} is {}, expected an integer of at least 1", name, text_of(value)));
  return value.get<std::int64_t>();
}

std::optional<BlockSize> block_pair(const json& object, const char* name, const std::string& place) {
  const auto value = object.find(name);
  if (value == object.end() || value->is_null()) return {};
  if (!value->is_array() || value->size() != 2)
    refuse(place, fmt::format("{} is {}, expected two integers", name, text_of(*value)));
  return BlockSize{block_size((*value)[0], place, name), block_size((*value)[1], place, name)};
}

// Members without effect, because activations are not quantised.
bool is_harmless(const std::string& name) {
  constexpr std::array<std::string_view, 4> kNames = {"full_precision_matrix_mult", "orig_dtype",
                                                      "orig_shape", "convrot_groupsize"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void read_members(const json& object, LayerMark& mark) {
  for (const auto& [name, value] : object.items()) {
    if (name == "format" || is_harmless(name) || says_nothing(value)) continue;
    if (name == "params" && value.is_object()) {
      read_members(value, mark);
    } else if (name == "group_size") {
      const std::int64_t size = block_size(value, mark.place, "group_size");
      mark.block = BlockSize{size, size};
    } else {
      refuse(mark.place, fmt::format("\"{}\": {} is not read{}", printable(name), text_of(value),
                                     name == "convrot" ? ": its weights are rotated" : ""));
    }
  }
}

LayerMark mark_of(const json& value, const std::string& place) {
  json object = value;
  if (value.is_string()) object = {{"format", value}};
  if (!object.is_object() || !object.contains("format") || !object.at("format").is_string())
    refuse(place, fmt::format("{} names no format", text_of(value)));
  const auto name = object.at("format").get<std::string>();
  const auto known =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& each) { return each.name == name; });
  if (known == kFormats.end()) {
    refuse(place,
           fmt::format("format {} is not read; accepted: float8_e4m3fn, int8_tensorwise, int8_blockwise",
                       printable(name)));
  }
  LayerMark mark{.place = place,
                 .format = name,
                 .dtype = known->dtype,
                 .rows = known->rows,
                 .blocks = known->blocks,
                 .block = {}};
  read_members(object, mark);
  return mark;
}

std::string_view without_padding(std::string_view text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

void read_compressed(const json& object, ConfigMark& mark) {
  const auto transform = object.find("transform_config");
  if (transform != object.end() && transform->is_object() && !transform->empty())
    refuse(mark.place, "transform_config is not read: its weights are rotated");
  const auto groups = object.find("config_groups");
  if (groups == object.end() || !groups->is_object()) return;
  for (const auto& [name, group] : groups->items()) {
    const auto weights = group.is_object() ? group.find("weights") : group.end();
    if (!group.is_object() || weights == group.end() || !weights->is_object()) continue;
    const std::string place = fmt::format("{}: config_groups: {}", mark.place, printable(name));
    if (weights->value("num_bits", json(8)) != json(8))
      refuse(place, fmt::format("num_bits is {}, expected 8", text_of(weights->at("num_bits"))));
    if (weights->value("symmetric", json(true)) != json(true))
      refuse(place, "its weights are not symmetric: they have zero points");
    const auto block = block_pair(*weights, "block_structure", place);
    if (block && mark.block && *block != *mark.block) refuse(place, "two sizes of blocks");
    if (block) mark.block = block;
  }
}

}  // namespace

LayerMark layer_mark(const TensorEntry& entry) {
  constexpr std::int64_t kLongest = 65536;
  const std::string place = fmt::format("{}: tensor {}", entry.file, printable(entry.source_key));
  if (entry.dtype != DType::U8 || !entry.contiguous() || entry.numel() > kLongest)
    refuse(place, "its mark is no text in uint8 of at most 64 KiB");
  const std::string_view text(reinterpret_cast<const char*>(entry.data),
                              static_cast<std::size_t>(entry.numel()));
  return mark_of(parse_json(without_padding(text), place + ": fp8 scales"), place);
}

LayerMarks layer_marks(std::string_view text, const std::string& file) {
  const std::string place = file + ": __metadata__: _quantization_metadata";
  const json root = parse_json(text, place + ": fp8 scales");
  const auto layers = root.is_object() ? root.find("layers") : root.end();
  if (!root.is_object() || layers == root.end() || !layers->is_object()) refuse(place, "it has no layers");
  LayerMarks marks;
  for (const auto& [name, value] : layers->items()) {
    const bool added =
        marks.emplace(without_prefix(name), mark_of(value, fmt::format("{}: {}", place, printable(name))))
            .second;
    if (!added) refuse(place, fmt::format("{} stands twice", printable(name)));
  }
  return marks;
}

ConfigMark config_mark(const std::string& config_file) {
  constexpr std::array<std::string_view, 4> kKnown = {"fp8", "modelopt", "compressed-tensors", "fbgemm_fp8"};
  ConfigMark mark;
  if (config_file.empty()) return mark;
  const json root = read_json_object(config_file);
  const auto found = root.find("quantization_config");
  if (found == root.end() || found->is_null()) return mark;
  mark.place = config_file + ": quantization_config";
  if (!found->is_object()) refuse(mark.place, "expected an object");
  const auto method = found->find("quant_method");
  const bool algorithm = found->contains("quant_algo");
  mark.method = method != found->end() && method->is_string() ? method->get<std::string>()
                : algorithm                                   ? "modelopt"
                                                              : "";
  mark.known = std::find(kKnown.begin(), kKnown.end(), mark.method) != kKnown.end();
  if (mark.method == "modelopt" && algorithm) {
    const json& name = found->at("quant_algo");
    mark.known = name.is_string() && name.get<std::string>().starts_with("FP8");
    if (!mark.known) mark.method = fmt::format("modelopt {}", text_of(name));
  }
  mark.block = block_pair(*found, "weight_block_size", mark.place);
  if (mark.method == "compressed-tensors") read_compressed(*found, mark);
  return mark;
}

}  // namespace ferry::checkpoint
