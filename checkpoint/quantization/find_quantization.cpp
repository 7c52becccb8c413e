#include "checkpoint/quantization/find_quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/quantization/quantization_marks.h"
#include "checkpoint/quantization/quantization_names.h"
#include "checkpoint/quantization/weight_scale.h"

namespace ferry::checkpoint {

namespace {

bool is_8_bit(DType dtype) { return dtype == DType::F8E4M3 || dtype == DType::I8; }

std::string describe(const LayerMark& mark) {
  return mark.block ? fmt::format("{} in groups of {}", mark.format, mark.block->rows) : mark.format;
}

class Finder {
 public:
  Finder(std::vector<TensorEntry>& entries, const std::vector<std::string>& names) : entries_(entries) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      roles_.push_back(quantization_name(names[i]));
      entries_[i].companion = roles_[i].role != QuantizationRole::None;
      if (!entries_[i].companion) by_name_.emplace(names[i], i);
    }
  }
  void refuse_unknown() const;
  void add_marks(const HeaderMarks& marks, const std::string& config_file);
  void attach_scales();
  void check_marks() const;
  void check_unscaled() const;
  Quantization take() { return std::move(found_); }

 private:
  TensorEntry* named(const std::string& name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &entries_[found->second];
  }
  const TensorEntry* named(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &entries_[found->second];
  }
  void add_mark(const std::string& module, const LayerMark& mark);
  void attach(const TensorEntry& scale, const QuantizationName& name);
  std::optional<BlockSize> said_of(const std::string& weight) const;
  std::string what_says_scaled() const;

  std::vector<TensorEntry>& entries_;
  std::vector<QuantizationName> roles_;  // parallel to entries_
  std::unordered_map<std::string, std::size_t> by_name_;
  std::unordered_map<std::string, const TensorEntry*> scale_of_;  // by name of the weight
  LayerMarks marks_;
  ConfigMark config_;
  const TensorEntry* file_mark_ = nullptr;
  const TensorEntry* input_scale_ = nullptr;
  Quantization found_;
};

void Finder::refuse_unknown() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (roles_[i].role != QuantizationRole::Unknown) continue;
    refuse_scale(entries_[i],
                 fmt::format("its name is that of {}, which is not read; accepted: scale_weight, "
                             "weight_scale, weight_scale_inv",
                             roles_[i].what));
  }
}

void Finder::add_mark(const std::string& module, const LayerMark& mark) {
  const auto [held, added] = marks_.emplace(module, mark);
  if (added || (held->second.format == mark.format && held->second.block == mark.block)) return;
  throw UserError(fmt::format("{}: fp8 scales: it says {}, but {} says {}", mark.place, describe(mark),
                              held->second.place, describe(held->second)));
}

void Finder::add_marks(const HeaderMarks& marks, const std::string& config_file) {
  config_ = config_mark(config_file);
  for (const auto& [file, text] : marks) {
    for (const auto& [module, mark] : layer_marks(text, file)) add_mark(module, mark);
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (roles_[i].role == QuantizationRole::FileMark) file_mark_ = &entries_[i];
    if (roles_[i].role == QuantizationRole::LayerMark) add_mark(roles_[i].target, layer_mark(entries_[i]));
  }
}

std::optional<BlockSize> Finder::said_of(const std::string& weight) const {
  constexpr std::string_view kWeight = ".weight";
  std::string module = weight;
  if (module.ends_with(kWeight)) module.resize(module.size() - kWeight.size());
  const auto mark = marks_.find(module);
  if (mark == marks_.end() || !mark->second.block) return config_.block;
  if (config_.block && *config_.block != *mark->second.block) {
    throw UserError(fmt::format("{}: fp8 scales: blocks of {}, but {} says {}", mark->second.place,
                                mark->second.block->rows, config_.place, config_.block->rows));
  }
  return mark->second.block;
}

void Finder::attach(const TensorEntry& scale, const QuantizationName& name) {
  TensorEntry* weight = named(name.target);
  if (weight == nullptr) refuse_scale(scale, fmt::format("its weight {} is missing", printable(name.target)));
  const auto [held, added] = scale_of_.emplace(name.target, &scale);
  if (!added)
    refuse_scale(scale, fmt::format("its weight has another scale, {}", printable(held->second->source_key)));
  WeightScale read = read_scale(scale, *weight, said_of(name.target));
  if (!is_8_bit(weight->dtype)) {
    if (std::any_of(read.values.begin(), read.values.end(), [](float value) { return value != 1; }))
      refuse_scale(scale, fmt::format("its weight is {}, not fp8 or int8", name_of(weight->dtype)));
    ++found_.unit_scales;
    return;
  }
  ++(weight->dtype == DType::I8 ? found_.int8_weights : found_.fp8_weights);
  ++found_.scales[fmt::format("{} {}", name.what, text_of(read))];
  weight->scale = std::make_shared<const WeightScale>(std::move(read));
}

void Finder::attach_scales() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (roles_[i].role == QuantizationRole::WeightScale) attach(entries_[i], roles_[i]);
    if (roles_[i].role != QuantizationRole::InputScale) continue;
    if (named(roles_[i].target + ".weight") == nullptr)
      refuse_scale(entries_[i], fmt::format("the weight of {} is missing", printable(roles_[i].target)));
    input_scale_ = &entries_[i];
    ++found_.input_scales;
  }
}

void Finder::check_marks() const {
  for (const auto& [module, mark] : marks_) {
    const auto refuse_mark = [&mark](const std::string& why) {
      throw UserError(fmt::format("{}: fp8 scales: it says {}, but {}", mark.place, mark.format, why));
    };
    const TensorEntry* weight = named(module + ".weight");
    if (weight == nullptr) refuse_mark(fmt::format("{}.weight is missing", printable(module)));
    if (weight->dtype != mark.dtype) refuse_mark(fmt::format("the weight is {}", name_of(weight->dtype)));
    if (weight->scale == nullptr) refuse_mark("the weight has no scale");
    const ScaleGrid grid = weight->scale->grid;
    if ((grid == ScaleGrid::Rows && !mark.rows) || (grid == ScaleGrid::Blocks && !mark.blocks))
      refuse_mark(fmt::format("the scale is {}", text_of(*weight->scale)));
  }
}

// A reason to expect a scale for every 8-bit weight, or empty.
std::string Finder::what_says_scaled() const {
  if (found_.fp8_weights + found_.int8_weights > 0) return "others have one";
  if (file_mark_ != nullptr) return fmt::format("{} says that it has one", printable(file_mark_->source_key));
  if (input_scale_ != nullptr) {
    return fmt::format("{} is half of a pair: weights of such files have scales too",
                       printable(input_scale_->source_key));
  }
  if (config_.known) return fmt::format("{} says {}", config_.place, printable(config_.method));
  return {};
}

// fp8 without scales is a plain cast and is read as is; int8 without scales is meaningless.
void Finder::check_unscaled() const {
  const std::string why = what_says_scaled();
  for (const TensorEntry& entry : entries_) {
    if (entry.companion || entry.scale != nullptr || !(is_8_bit(entry.dtype) || entry.dtype == DType::U8))
      continue;
    if (!config_.place.empty() && !config_.known) {
      refuse_scale(entry,
                   fmt::format("{} says {}, which is not read", config_.place,
                               config_.method.empty() ? "no quant_method" : printable(config_.method)));
    }
    if (entry.dtype == DType::F8E4M3 && !why.empty())
      refuse_scale(entry, "it is fp8 without a scale, and " + why);
    if (entry.dtype == DType::I8 && entry.source_key.ends_with(".weight"))
      refuse_scale(entry, "it is int8 without a scale");
  }
}

}  // namespace

Quantization find_quantization(std::vector<TensorEntry>& entries, const std::vector<std::string>& names,
                               const HeaderMarks& marks, const std::string& config_file) {
  Finder finder(entries, names);
  finder.refuse_unknown();
  finder.add_marks(marks, config_file);
  finder.attach_scales();
  finder.check_marks();
  finder.check_unscaled();
  return finder.take();
}

}  // namespace ferry::checkpoint
