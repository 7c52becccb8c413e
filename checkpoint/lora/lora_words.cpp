#include "checkpoint/lora/lora_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/text/lower.h"
#include "checkpoint/formats/json_text.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "useRsLoRA-scale" -> use, rs, lora, scale.
Words words_of(std::string_view name) {
  constexpr std::string_view kLora = "lora";
  Words words(1);
  for (std::size_t at = 0; at < name.size(); ++at) {
    const char c = name[at];
    if (lower(name.substr(at, kLora.size())) == kLora) {
      words.insert(words.end(), {std::string(kLora), ""});
      at += kLora.size() - 1;
    } else if (!is_lower(c) && !is_upper(c) && !is_digit(c)) {
      words.emplace_back();
    } else {
      if (is_upper(c) && at > 0 && is_lower(name[at - 1])) words.emplace_back();
      words.back() += lower(c);
    }
  }
  std::erase(words, "");
  return words;
}

template <std::size_t N>
bool has_any(const Words& words, const std::array<std::string_view, N>& wanted) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  });
}

bool says_alpha(const Words& words) {
  constexpr auto kOfOthers = std::to_array<std::string_view>({"conv", "mask", "dropout"});
  const auto alpha = [](const std::string& word) { return word.ends_with("alpha"); };
  return std::any_of(words.begin(), words.end(), alpha) && !has_any(words, kOfOthers);
}

bool says_rslora(const Words& words) {
  const auto follow = [&](std::string_view first, std::string_view second) {
    return std::adjacent_find(words.begin(), words.end(), [&](const auto& a, const auto& b) {
             return a == first && b.starts_with(second);
           }) != words.end();
  };
  return follow("rs", "lora") || follow("rank", "stabili");
}

// Beside other words it is the scale of something else: guidance_scale, ss_scale_weight_norms.
bool says_scale(const Words& words) {
  constexpr auto kScale = std::to_array<std::string_view>({"scale", "scales", "scaling"});
  constexpr auto kLora = std::to_array<std::string_view>({"lora", "adapter", "peft", "network"});
  constexpr auto kNeutral =
      std::to_array<std::string_view>({"ss", "default", "model", "transformer", "unet", "dit", "diffusion",
                                       "wan", "final", "global", "rank"});
  constexpr auto kOfLora = std::to_array<std::string_view>({"weight", "weights", "factor", "value"});
  const bool lora = has_any(words, kLora);
  const auto fits = [&](const std::string& word) {
    const Words one = {word};
    return has_any(one, kScale) || has_any(one, kLora) || has_any(one, kNeutral) ||
           (lora && has_any(one, kOfLora));
  };
  return has_any(words, kScale) && std::all_of(words.begin(), words.end(), fits);
}

std::optional<double> number_of(const std::string& text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_off(const std::string& value) {
  const std::string word = lower(value);
  return word.empty() || word == "none" || word == "null" || word == "false" || word == "{}" || word == "[]";
}

// Adds the hint in a name; members of its value are not searched.
void add(std::vector<ScaleHint>& hints, const std::string& own_name, const std::string& name,
         const std::string& value) {
  const Words words = words_of(own_name);
  const std::optional<double> number = number_of(value);
  const bool is_true = lower(value) == "true";
  if (is_off(value)) return;
  if (says_rslora(words)) {
    if (number != 0.0) hints.push_back({ScaleWord::Rslora, name, value, number});
  } else if (says_alpha(words)) {
    if (!is_true) hints.push_back({ScaleWord::Alpha, name, value, number});
  } else if (says_scale(words)) {
    const bool numeric = std::any_of(value.begin(), value.end(), is_digit);
    if (numeric && number != 1.0) hints.push_back({ScaleWord::Scale, name, value, number});
  }
}

std::optional<json> json_in(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (text[first] != '{' && text[first] != '[')) return std::nullopt;
  try {
    return parse_json(text, {});
  } catch (const UserError&) {
    return std::nullopt;  // plain text
  }
}

void add_members(std::vector<ScaleHint>& hints, const std::string& place, const json& value) {
  for (const auto& [own_name, member] : value.items()) {
    const std::string name = value.is_object() ? fmt::format("{}: {}", place, own_name) : place;
    const std::string text = member.is_string() ? member.get<std::string>() : member.dump();
    if (value.is_object()) add(hints, own_name, name, text);
    if (member.is_structured()) {
      add_members(hints, name, member);
    } else if (const auto inner = json_in(text)) {
      add_members(hints, name, *inner);
    }
  }
}

bool is_of_training(const std::string& name) {
  return name.starts_with("modelspec.") || name.starts_with("sshs_") || name == "prompt" ||
         name == "workflow";
}

}  // namespace

std::vector<ScaleHint> scale_hints(const std::string& name, const std::string& text) {
  std::vector<ScaleHint> hints;
  if (is_of_training(name)) return hints;
  add(hints, name, name, text);
  if (name.starts_with("ss_") && name != "ss_network_args") return hints;
  if (const auto object = json_in(text)) add_members(hints, name, *object);
  return hints;
}

}  // namespace ferry::checkpoint
