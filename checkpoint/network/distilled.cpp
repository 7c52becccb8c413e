#include "checkpoint/network/distilled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/text/lower.h"
#include "checkpoint/formats/json_text.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;

constexpr const char* kList = "denoising_step_list";
constexpr int kTrained = 1000;  // timesteps
constexpr int kUsual = 4;

// N if the list is 1000 (1 - k / N), k = 0 .. N - 1; else 0.
int even_steps(const json& list) {
  if (!list.is_array() || list.empty() || list.size() > kTrained) return 0;
  const int steps = static_cast<int>(list.size());
  for (int k = 0; k < steps; ++k) {
    const json& value = list[static_cast<std::size_t>(k)];
    const double wanted = kTrained * (1.0 - static_cast<double>(k) / steps);
    if (!value.is_number() || std::abs(value.get<double>() - wanted) > 1e-6) return 0;
  }
  return kTrained % steps == 0 ? steps : 0;
}

// "[1000, 750]" or "1000, 750".
json list_in(const std::string& text) {
  const bool bare = text.find('[') == std::string::npos;
  try {
    return parse_json(bare ? "[" + text + "]" : text, {});
  } catch (const UserError&) {
    return {};
  }
}

std::string word_in(const std::filesystem::path& part) {
  std::string name = lower(part.string());
  std::erase_if(name, [](char c) { return c == '_' || c == '-' || c == ' '; });
  for (const char* word : {"lightx2v", "lightning"}) {
    if (name.find(word) != std::string::npos) return word;
  }
  return name.find("stepdistill") == std::string::npos ? "" : "step_distill";
}

// The names of a path that say what is in it, the last one first.
std::vector<std::filesystem::path> telling_names(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> parts;
  for (const std::filesystem::path& part : path) {
    if (!part.empty()) parts.push_back(part);
  }
  std::vector<std::filesystem::path> names;
  for (std::size_t i = parts.size(); i-- > 0;) {
    const bool last = i + 1 == parts.size();
    const bool of_peft = i + 2 == parts.size() && parts.back().string().starts_with("adapter_model");
    if (last || of_peft || parts[i + 1] == "snapshots") names.push_back(parts[i]);
  }
  return names;
}

}  // namespace

std::optional<Distilled> distilled_by_header(const std::map<std::string, std::string>& metadata,
                                             const std::string& file) {
  if (const auto list = metadata.find(kList); list != metadata.end())
    return Distilled{even_steps(list_in(list->second)), fmt::format("{} of {}", kList, file)};
  const auto sampler = metadata.find("sampler");
  if (sampler == metadata.end() || sampler->second != "step_distill") return {};
  return Distilled{kUsual, fmt::format("sampler of {}", file)};
}

std::optional<Distilled> distilled_by_config(const std::string& path) {
  if (path.empty()) return {};
  const json config = read_json_object(path);
  const auto list = config.find(kList);
  if (list == config.end() || list->is_null()) return {};
  return Distilled{even_steps(*list), fmt::format("{} of {}", kList, path)};
}

std::optional<Distilled> first_with_steps(const std::optional<Distilled>& first,
                                          const std::optional<Distilled>& second) {
  const bool second_alone = second && second->steps > 0 && (!first || first->steps == 0);
  return first && !second_alone ? first : second;
}

std::string distilled_by_name(const std::string& path) {
  for (const std::filesystem::path& name : telling_names(path)) {
    std::string word = word_in(name);
    if (!word.empty()) return word;
  }
  return "";
}

}  // namespace ferry::checkpoint
