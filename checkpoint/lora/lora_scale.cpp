#include "checkpoint/lora/lora_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/lora/lora_config.h"
#include "checkpoint/lora/lora_folder.h"

namespace ferry::checkpoint {

namespace {

constexpr double kMostScale = 10'000;
constexpr std::int64_t kMostSteps = 100'000'000;
constexpr const char* kFromTensors = "alpha tensors";
constexpr const char* kFromNothing = "no alpha is given, the rank stands for it";
constexpr const char* kFromConfig = "adapter_config.json";

// Matches patterns against names, within a bound (about a second) that real files are far from.
class Matcher {
 public:
  explicit Matcher(const std::string& place) : place_(place) {}

  bool any(const PatternValue& each, const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      const bool found = each.pattern.matches(name, &steps_);
      if (steps_ <= kMostSteps) return found;
      throw UserError(
          fmt::format("{}: {}: too much work: patterns of this length, and so many of them, for so "
                      "many linears are not accepted",
                      place_, printable(each.text)));
    });
  }

 private:
  const std::string& place_;
  std::int64_t steps_ = 0;
};

// For each linear, the first matching pattern, or nullptr.
std::vector<const PatternValue*> first_matches(const std::vector<PatternValue>& patterns,
                                               std::span<const LoraLinear> linears, const std::string& place,
                                               const char* what, std::vector<std::string>& unused) {
  std::vector<const PatternValue*> found(linears.size(), nullptr);
  Matcher matcher(place);
  for (const PatternValue& each : patterns) {
    bool used = false;
    for (const auto names : {&LoraLinear::names, &LoraLinear::other_names}) {
      for (std::size_t i = 0; !used && i < linears.size(); ++i) used = matcher.any(each, linears[i].*names);
      if (!used) continue;
      for (std::size_t i = 0; i < linears.size(); ++i) {
        if (found[i] == nullptr && matcher.any(each, linears[i].*names)) found[i] = &each;
      }
      break;
    }
    if (!used) unused.push_back(fmt::format("{} of {}", printable(each.text), what));
  }
  return found;
}

void check_scale(double scale, const std::string& place, const std::string& name) {
  if (std::abs(scale) <= kMostScale) return;
  throw UserError(fmt::format("{}: the alpha of {} makes its scale {:g}, at most {:g} is accepted", place,
                              name, scale, kMostScale));
}

void check_alpha(double alpha, const std::string& place, const std::string& name) {
  if (alpha != 0) return;
  throw UserError(fmt::format(
      "{}: the alpha of {} is 0, which means nothing is added to some programs and the rank to others", place,
      name));
}

// The scales of all linears from one source.
class Source {
 public:
  Source(LoraConfig config, std::string from, std::span<const LoraLinear> linears)
      : config_(std::move(config)),
        from_(std::move(from)),
        alphas_(first_matches(config_.alpha_pattern, linears, config_.place, "alpha_pattern", unused_)),
        ranks_(first_matches(config_.rank_pattern, linears, config_.place, "rank_pattern", unused_)) {}

  Source(Source&&) = default;
  Source& operator=(Source&&) = default;
  Source(const Source&) = delete;  // alphas_ and ranks_ point into config_
  Source& operator=(const Source&) = delete;
  ~Source() = default;

  const std::string& place() const { return config_.place; }
  bool says_scale() const { return config_.says_scale(); }

  LoraScale of(const LoraLinear& linear, std::size_t i) const {
    check_rank(linear, i);
    const double alpha = alpha_of(linear, i);
    const auto rank = static_cast<double>(linear.rank);
    const double scale = alpha / (config_.rslora.value_or(false) ? std::sqrt(rank) : rank);
    check_scale(scale, config_.place, linear.name);
    return {scale, from_};
  }

  std::vector<std::string> notes() const {
    std::vector<std::string> notes;
    for (const std::string& pattern : unused_)
      notes.push_back(fmt::format("{}: {} suits no linear of the LoRA", config_.place, pattern));
    return notes;
  }

 private:
  void check_rank(const LoraLinear& linear, std::size_t i) const {
    const std::optional<double> said = ranks_[i] != nullptr ? std::optional(ranks_[i]->value) : config_.rank;
    if (!said || *said == static_cast<double>(linear.rank)) return;
    throw UserError(fmt::format("{}: the rank of {} is {:g} there, but its lora_A has {} rows", config_.place,
                                linear.name, *said, linear.rank));
  }

  double alpha_of(const LoraLinear& linear, std::size_t i) const {
    const std::optional<double> said =
        alphas_[i] != nullptr ? std::optional(alphas_[i]->value) : config_.alpha;
    if (!said) {
      throw UserError(
          fmt::format("{}: no lora_alpha for {}, so its scale is not known", config_.place, linear.name));
    }
    check_alpha(*said, config_.place, linear.name);
    return *said;
  }

  LoraConfig config_;
  std::string from_;
  std::vector<std::string> unused_;
  std::vector<const PatternValue*> alphas_;
  std::vector<const PatternValue*> ranks_;
};

// A rank in the header that is not otherwise used must at least match one of the file's.
void check_unused_rank(const LoraConfig& header, std::span<const LoraLinear> linears) {
  if (!header.rank) return;
  const bool known = std::any_of(linears.begin(), linears.end(), [&](const LoraLinear& linear) {
    return static_cast<double>(linear.rank) == *header.rank;
  });
  if (known) return;
  throw UserError(fmt::format("{}: the rank is {:g} there, but no linear of the file has it", header.place,
                              *header.rank));
}

void check_same(const Source& header, const Source& config, std::span<const LoraLinear> linears) {
  for (std::size_t i = 0; i < linears.size(); ++i) {
    if (linears[i].alpha) continue;
    const double by_header = header.of(linears[i], i).value;
    const double by_config = config.of(linears[i], i).value;
    if (by_header == by_config) continue;
    throw UserError(
        fmt::format("{} and {} differ: {} would get the scale {:g} from the one and {:g} from the other",
                    header.place(), config.place(), linears[i].name, by_header, by_config));
  }
}

[[noreturn]] void refuse_ambiguous(const std::string& file, const AdapterConfig& found) {
  throw UserError(
      fmt::format("{}: says no alpha, and {} beside it may belong to another of the folder's .safetensors "
                  "files; give the LoRA a folder of its own with its adapter_config.json, or without one",
                  file, found.path));
}

// kohya's and musubi-tuner's trainers write an alpha tensor per linear and use lora_down and lora_up; their
// conversion to lora_A and lora_B multiplies alpha / rank into both and keeps the header.
bool converted(const LoraConfig& header, const std::map<std::string, std::string>& metadata,
               std::span<const LoraLinear> linears) {
  return header.alpha_name == "ss_network_alpha" && !header.complete &&
         metadata.contains("ss_network_module") &&
         std::all_of(linears.begin(), linears.end(),
                     [](const LoraLinear& linear) { return linear.peft && !linear.alpha; });
}

// The source for linears without an alpha tensor, or nothing if there is none.
std::optional<Source> source_of(const std::string& file, const std::map<std::string, std::string>& metadata,
                                std::span<const LoraLinear> linears, std::vector<std::string>& notes) {
  LoraConfig header = header_lora_config(file, metadata);
  if (converted(header, metadata, linears)) {
    notes.push_back(header.place +
                    ": ss_network_alpha is not used, since lora_A and lora_B without alpha tensors "
                    "were converted from such a file with it multiplied in");
    header = {.place = header.place};
  }
  const AdapterConfig found = adapter_config_of(file);
  std::optional<Source> beside;
  if (found.belongs) beside.emplace(read_adapter_config(found.path), kFromConfig, linears);
  if (!header.says_scale()) {
    if (!found.path.empty() && !found.belongs) refuse_ambiguous(file, found);
    check_unused_rank(header, linears);
    return beside;
  }
  const std::string name = header.alpha_name.empty() ? "alpha_pattern" : header.alpha_name;
  Source source(std::move(header), fmt::format("{} of the file's header", printable(name)), linears);
  if (beside && beside->says_scale()) check_same(source, *beside, linears);
  return source;
}

}  // namespace

LoraScales lora_scales(const std::string& file, const std::map<std::string, std::string>& metadata,
                       std::span<const LoraLinear> linears) {
  LoraScales scales;
  std::optional<Source> source;
  const auto has_alpha = [](const LoraLinear& linear) { return linear.alpha.has_value(); };
  if (!std::all_of(linears.begin(), linears.end(), has_alpha)) {
    source = source_of(file, metadata, linears, scales.notes);
  }
  for (std::size_t i = 0; i < linears.size(); ++i) {
    const LoraLinear& linear = linears[i];
    if (linear.alpha) {
      check_alpha(*linear.alpha, file, linear.name);
      scales.of.push_back({*linear.alpha / static_cast<double>(linear.rank), kFromTensors});
      check_scale(scales.of.back().value, file, linear.name);
    } else {
      scales.of.push_back(source ? source->of(linear, i) : LoraScale{1.0, kFromNothing});
    }
  }
  if (source) {
    for (std::string& note : source->notes()) scales.notes.push_back(std::move(note));
  }
  return scales;
}

}  // namespace ferry::checkpoint
