#include "checkpoint/lora/lora_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/files/file.h"
#include "base/text/describe.h"
#include "base/text/lower.h"
#include "checkpoint/formats/json_text.h"
#include "checkpoint/lora/lora_words.h"

namespace ferry::checkpoint {

namespace {

using Json = nlohmann::ordered_json;

// Per alpha_pattern or rank_pattern; a pattern for every linear of the 14B takes a tenth of it.
constexpr std::size_t kMostPatternCharacters = 200'000;

enum class Member : std::uint8_t { Alpha, Rank, Rslora, AlphaPattern, RankPattern, Type, Start, Off, Free };

struct Known {
  std::string_view name;
  Member member;
};

// Off: must be empty, false or none, since it changes what is computed.  Free: describes the training and has
// no effect.
constexpr std::array kKnown = std::to_array<Known>({
    {"lora_alpha", Member::Alpha},
    {"alpha", Member::Alpha},
    {"network_alpha", Member::Alpha},
    {"ss_network_alpha", Member::Alpha},
    {"r", Member::Rank},
    {"rank", Member::Rank},
    {"network_dim", Member::Rank},
    {"ss_network_dim", Member::Rank},
    {"use_rslora", Member::Rslora},
    {"alpha_pattern", Member::AlphaPattern},
    {"rank_pattern", Member::RankPattern},
    {"peft_type", Member::Type},
    {"adapter_type", Member::Type},
    {"init_lora_weights", Member::Start},
    {"use_dora", Member::Off},
    {"use_qalora", Member::Off},
    {"use_bdlora", Member::Off},
    {"kasa_config", Member::Off},
    {"monteclora_config", Member::Off},
    {"arrow_config", Member::Off},
    {"modules_to_save", Member::Off},
    {"bias", Member::Off},
    {"lora_bias", Member::Off},
    {"layer_replication", Member::Off},
    {"target_parameters", Member::Off},
    {"trainable_token_indices", Member::Off},
    {"alora_invocation_tokens", Member::Off},
    {"fan_in_fan_out", Member::Off},
    {"megatron_config", Member::Off},
    {"target_modules", Member::Free},
    {"exclude_modules", Member::Free},
    {"layers_to_transform", Member::Free},
    {"layers_pattern", Member::Free},
    {"lora_dropout", Member::Free},
    {"inference_mode", Member::Free},
    {"task_type", Member::Free},
    {"base_model_name_or_path", Member::Free},
    {"revision", Member::Free},
    {"auto_mapping", Member::Free},
    {"peft_version", Member::Free},
    {"megatron_core", Member::Free},
    {"qalora_group_size", Member::Free},
    {"runtime_config", Member::Free},
    {"ensure_weight_tying", Member::Free},
    {"velora_config", Member::Free},
    // Read only by the initialisations of the same names.
    {"loftq_config", Member::Free},
    {"eva_config", Member::Free},
    {"corda_config", Member::Free},
    {"lora_ga_config", Member::Free},
});

std::optional<Member> member_of(std::string_view name) {
  const auto* found =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) { return known.name == name; });
  return found == kKnown.end() ? std::nullopt : std::optional(found->member);
}

// A member of the object being read: location, name, value.
struct Said {
  std::string place;
  std::string name;
  const Json& value;

  [[noreturn]] void refuse(const std::string& why) const {
    throw UserError(fmt::format("{}: {} is {}{}", place, printable(name), printable(value.dump()), why));
  }
};

std::string word_of(const Json& value) {
  return value.is_string() ? lower(value.get<std::string>()) : std::string();
}

bool is_off(const Json& value) {
  if (value.is_null() || value == false || value == 0) return true;
  if (value.is_array() || value.is_object()) return value.empty();
  const std::string word = word_of(value);
  return value.is_string() && (word.empty() || word == "none" || word == "null" || word == "false");
}

double number_of(const Said& said) {
  double number = 0;
  bool good = said.value.is_number();
  if (good) number = said.value.get<double>();
  if (said.value.is_string()) {
    const auto& text = said.value.get_ref<const std::string&>();
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    good = read.ec == std::errc() && read.ptr == text.data() + text.size();
  }
  if (!good || !std::isfinite(number)) said.refuse(", expected a finite number");
  return number;
}

bool flag_of(const Said& said) {
  const std::string word = word_of(said.value);
  if (said.value == true || word == "true" || said.value == 1 || word == "1") return true;
  if (is_off(said.value) || word == "0") return false;
  said.refuse(", expected true or false");
}

std::vector<PatternValue> patterns_of(const Said& said) {
  std::vector<PatternValue> patterns;
  Json object = said.value;
  const std::string place = fmt::format("{}: {}", said.place, printable(said.name));
  if (object.is_string() && !is_off(object)) object = parse_ordered_json(object.get<std::string>(), place);
  if (is_off(object)) return patterns;
  if (!object.is_object()) said.refuse(", expected an object of names and numbers");
  std::size_t characters = 0;
  for (const auto& [text, value] : object.items()) {
    characters += text.size();
    if (characters > kMostPatternCharacters) {
      throw UserError(
          fmt::format("{}: patterns of more than {} characters in all", place, kMostPatternCharacters));
    }
    const double number = number_of({place, text, value});
    try {
      patterns.push_back({text, NamePattern(text), number});
    } catch (const std::invalid_argument& error) {
      throw UserError(
          fmt::format("{}: {}: a pattern that is not understood: {}", place, printable(text), error.what()));
    }
  }
  return patterns;
}

// Stores a value; throws if a different one was stored before.
template <typename T>
void take(T& to, T value, const T& unset, const Said& said, const char* what) {
  if (!(to == unset) && !(to == value))
    said.refuse(fmt::format(", which is not the {} that is said beside it", what));
  to = std::move(value);
}

void check_start(const Said& said) {
  // The others change the base weights, or may do so.
  constexpr std::array<std::string_view, 4> kAccepted = {"true", "gaussian", "orthogonal", "eva"};
  const std::string word = word_of(said.value);
  if (said.value == true || is_off(said.value)) return;
  if (std::find(kAccepted.begin(), kAccepted.end(), word) != kAccepted.end()) return;
  said.refuse(
      ": the LoRA belongs to weights that were changed; true, false, gaussian, orthogonal, eva are accepted");
}

void read_member(LoraConfig& config, Member member, const Said& said) {
  switch (member) {
    case Member::Alpha:
      take(config.alpha, std::optional(number_of(said)), {}, said, "alpha");
      if (config.alpha_name.empty()) config.alpha_name = said.name;
      return;
    case Member::Rank:
      return take(config.rank, std::optional(number_of(said)), {}, said, "rank");
    case Member::Rslora:
      return take(config.rslora, std::optional(flag_of(said)), {}, said, "rslora");
    case Member::AlphaPattern:
      return take(config.alpha_pattern, patterns_of(said), {}, said, "alpha_pattern");
    case Member::RankPattern:
      return take(config.rank_pattern, patterns_of(said), {}, said, "rank_pattern");
    case Member::Type:
      if (!is_off(said.value) && word_of(said.value) != "lora") said.refuse(", only LORA is accepted");
      return;
    case Member::Start:
      return check_start(said);
    case Member::Off:
      if (!is_off(said.value)) said.refuse(", which is not supported: only what adds B A to linears is");
      return;
    case Member::Free:
      return;
  }
}

// "transformer.r" -> "transformer", "r"; member names contain no dot.
std::pair<std::string, std::string> split(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// True if this component's settings concern the DiT. A text encoder's do not; its tensors cannot be in the
// file.
bool is_ours(const Said& said, const std::string& component) {
  constexpr std::array<std::string_view, 9> kOurs = {
      "",     "transformer", "diffusion_model", "model", "model.diffusion_model", "base_model.model",
      "unet", "dit",         "module"};
  if (std::find(kOurs.begin(), kOurs.end(), component) != kOurs.end()) return true;
  if (component.starts_with("text_encoder")) return false;
  said.refuse(
      fmt::format(", and {} is no component that is known here; transformer is", printable(component)));
}

void read_object(LoraConfig& config, const Json& object, const std::string& place) {
  for (const auto& [name, value] : object.items()) {
    const Said said{place, name, value};
    const auto [component, own_name] = split(name);
    const auto member = member_of(own_name);
    if (!is_ours(said, component) || (!member && is_off(value))) continue;
    if (!member) said.refuse(": a member that is not known, so it is not known what it changes");
    if (member == Member::Free) continue;
    read_member(config, *member, said);
    config.complete = config.complete || *member <= Member::RankPattern;
  }
}

// True if an unknown name agrees with the known settings.
bool agrees(const ScaleHint& hint, const LoraConfig& config) {
  switch (hint.word) {
    case ScaleWord::Alpha:
      return config.alpha && hint.number == config.alpha;
    case ScaleWord::Scale:
      return config.alpha && config.rank && !config.rslora.value_or(false) &&
             hint.number == *config.alpha / *config.rank;
    case ScaleWord::Rslora:
      return config.rslora.value_or(false);
  }
  return false;
}

void refuse_hint(const ScaleHint& hint, const LoraConfig& config) {
  constexpr std::array<const char*, 3> kMeanings = {"the alpha of a scale", "the scale of the LoRA",
                                                    "that its scale is alpha / sqrt(rank)"};
  const Json value = hint.value;
  Said{config.place, hint.name, value}.refuse(fmt::format(", and it is not known whether that is {}",
                                                          kMeanings.at(static_cast<std::size_t>(hint.word))));
}

void read_loose_names(LoraConfig& config, const std::map<std::string, std::string>& metadata,
                      const std::set<std::string>& wholes) {
  std::vector<ScaleHint> hints;
  for (const auto& [name, text] : metadata) {
    const Json value = text;
    const auto [component, own_name] = split(name);
    const auto member = member_of(own_name);
    if (member && member != Member::Free) {
      const Said said{config.place, name, value};
      if (is_ours(said, component)) read_member(config, *member, said);
    } else if (!member && !wholes.contains(name)) {
      for (ScaleHint& hint : scale_hints(name, text)) hints.push_back(std::move(hint));
    }
  }
  for (const ScaleHint& hint : hints) {
    if (!agrees(hint, config)) refuse_hint(hint, config);
  }
}

// True if the text under one of these names is a whole configuration.  Anything may be stored under `config`.
bool seems_whole(std::string_view name, const std::string& text) {
  return name != "config" || text.find("\"lora_alpha\"") != std::string::npos ||
         text.find("\"peft_type\"") != std::string::npos;
}

}  // namespace

bool LoraConfig::says_scale() const {
  return complete || alpha || !alpha_pattern.empty() || !rank_pattern.empty() || rslora.value_or(false);
}

LoraConfig header_lora_config(const std::string& file, const std::map<std::string, std::string>& metadata) {
  LoraConfig config{.place = file + ": metadata"};
  std::set<std::string> wholes;
  for (const char* name :
       {"lora_adapter_metadata", "lora_config", "adapter_config", "peft_config", "config"}) {
    const auto found = metadata.find(name);
    if (found == metadata.end()) continue;
    const std::string place = fmt::format("{} {}", config.place, name);
    if (!seems_whole(name, found->second)) continue;
    wholes.insert(name);
    const Json object = parse_ordered_json(found->second, place);
    if (is_off(object)) continue;
    if (!object.is_object()) throw UserError(place + ": a JSON object is expected");
    read_object(config, object, place);
  }
  read_loose_names(config, metadata, wholes);
  return config;
}

LoraConfig read_adapter_config(const std::string& path) {
  LoraConfig config{.place = path};
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.bytes());
  const Json object = parse_ordered_json(text, path);
  if (!object.is_object()) throw UserError(path + ": a JSON object is expected");
  read_object(config, object, path);
  return config;
}

}  // namespace ferry::checkpoint
