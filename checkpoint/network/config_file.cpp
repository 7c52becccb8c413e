#include "checkpoint/network/config_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/names/keys.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;

// All elements as T, or nothing.
template <typename T>
std::optional<std::vector<T>> list_of(const json& value, bool (*is_element)(const json&)) {
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_element)) return {};
  return value.get<std::vector<T>>();
}

bool is_nothing(const json& value) {
  if (value.is_number()) return value == json(0);
  return value == json(false) || value == json("") || value.empty();  // empty: null, [] and {}
}

}  // namespace

ConfigFile::ConfigFile(const std::string& path) : path_(path) {
  if (!path.empty()) root_ = std::make_unique<json>(read_json_object(path));
}
ConfigFile::ConfigFile(ConfigFile&&) noexcept = default;
ConfigFile::~ConfigFile() = default;

const json* ConfigFile::find(const char* name) const {
  if (root_ == nullptr) return nullptr;
  const auto found = root_->find(name);
  return found == root_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> ConfigFile::integer(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  const bool fits =
      value->is_number_unsigned() && value->get<std::uint64_t>() >= 1 && value->get<std::uint64_t>() <= kMost;
  if (!fits) refuse(name, "expected an integer of at least 1");
  return value->get<std::int64_t>();
}

std::optional<double> ConfigFile::positive(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>())) {
    refuse(name, "expected a number above 0");
  }
  return value->get<double>();
}

std::optional<std::string> ConfigFile::text(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_string()) refuse(name, "expected text");
  return value->get<std::string>();
}

std::optional<bool> ConfigFile::flag(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_boolean()) refuse(name, "expected true or false");
  return value->get<bool>();
}

std::optional<std::vector<std::int64_t>> ConfigFile::integers(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  std::vector<std::int64_t> list;
  if (!read_extents(*value, list)) refuse(name, "expected a list of integers");
  return list;
}

std::optional<std::vector<bool>> ConfigFile::flags(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  auto list = list_of<bool>(*value, [](const json& element) { return element.is_boolean(); });
  if (!list) refuse(name, "expected a list of true and false");
  return list;
}

std::optional<std::vector<double>> ConfigFile::numbers(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  auto list = list_of<double>(*value, [](const json& element) { return element.is_number(); });
  if (!list) refuse(name, "expected a list of numbers");
  return list;
}

std::vector<std::string> ConfigFile::texts(const char* name) const {
  const json* value = find(name);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  for (const json& element : value->is_array() ? *value : json::array({*value})) {
    if (element.is_null()) continue;
    if (!element.is_string()) refuse(name, "expected text or a list of texts");
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

std::vector<std::string> ConfigFile::names() const {
  std::vector<std::string> names;
  if (root_ == nullptr) return names;
  for (const auto& [name, value] : root_->items()) names.push_back(name);
  return names;
}

std::string ConfigFile::shown(const std::string& name) const {
  if (root_ == nullptr || !root_->contains(name)) return "missing";
  return printable(root_->at(name).dump(-1, ' ', true, json::error_handler_t::replace));
}

void ConfigFile::expect(const char* name, const char* accepted, bool null_fits) const {
  if (root_ == nullptr || !root_->contains(name)) return;
  const json& value = root_->at(name);
  if (value.is_null() && null_fits) return;
  const json list = json::parse(accepted);
  if (list.empty() && is_nothing(value)) return;
  std::vector<std::string> words;
  for (const json& one : list) {
    if (one == value) return;
    words.push_back(one.dump());
  }
  refuse(name,
         fmt::format("expected {}", list.empty() ? "null" : fmt::format("{}", fmt::join(words, " or "))));
}

bool ConfigFile::is_off(const std::string& name) const {
  return root_ == nullptr || !root_->contains(name) || is_nothing(root_->at(name));
}

void ConfigFile::check(const char* name, std::int64_t detected) const {
  const auto value = integer(name);
  if (value && *value != detected) refuse(name, fmt::format("but the tensors say {}", detected));
}

void ConfigFile::refuse(const char* name, const std::string& why) const {
  throw UserError(fmt::format("{}: {} is {}, {}", path_, name, shown(name), why));
}

const TensorEntry& needed(const Checkpoint& checkpoint, std::string_view key, std::size_t rank) {
  const TensorEntry* entry = checkpoint.find(key);
  if (entry == nullptr) {
    throw UserError(fmt::format("{}: tensor {} of the {} is missing", checkpoint.files().front(), key,
                                name_of(checkpoint.part())));
  }
  const bool empty = std::count(entry->shape.begin(), entry->shape.end(), 0) > 0;
  if (entry->shape.size() != rank || empty) {
    throw UserError(fmt::format("{}: tensor {} has shape {}, expected {} dimensions of at least 1",
                                entry->file, key, shape_text(entry->shape), rank));
  }
  return *entry;
}

std::int64_t count_after(const Checkpoint& checkpoint, const char* prefix) {
  std::int64_t count = 0;
  for (const TensorEntry& entry : checkpoint.entries()) {
    if (const auto number = number_after(entry.key, prefix)) count = std::max(count, *number + 1);
  }
  return count;
}

std::int64_t text_length(const ConfigFile& config) {
  constexpr std::int64_t kMost = 65536;
  const std::int64_t length = config.integer("text_len").value_or(512);
  if (length > kMost) config.refuse("text_len", "expected at most 65536");
  return length;
}

}  // namespace ferry::checkpoint
