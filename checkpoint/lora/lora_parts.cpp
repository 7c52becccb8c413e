#include "checkpoint/lora/lora_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/float_type.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

using Shape = std::vector<std::int64_t>;

// A tensor that does not belong to the network.
struct Stranger {
  const TensorEntry* entry = nullptr;
  std::string reason;
};

Shape without_ones(const Shape& shape) {
  Shape bare;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(bare), [](std::int64_t n) { return n != 1; });
  return bare;
}

Shape flattened(Shape shape) {
  if (shape.size() < 2) return shape;
  const std::int64_t columns = checked_numel(shape).value_or(0) / std::max<std::int64_t>(1, shape[0]);
  shape.resize(2);
  shape[1] = columns;
  return shape;
}

// True if the numbers of both lie in the same order.
bool alike(const Shape& shape, const Shape& expected) {
  const Shape wanted = without_ones(expected);
  return without_ones(shape) == wanted || without_ones(flattened(shape)) == wanted ||
         without_ones(shape) == without_ones(flattened(expected));
}

std::string misfit(const TensorEntry& entry, const Shape& expected) {
  return fmt::format("has shape {}, expected {}", shape_text(entry.shape), shape_text(expected));
}

void check_type(const TensorEntry& entry) {
  if (is_unscaled_float(entry.dtype)) return;
  throw UserError(
      fmt::format("{} is {}, expected fp32, bf16, fp16 or fp64", place_of(entry), name_of(entry.dtype)));
}

[[noreturn]] void refuse_twice(const TensorEntry& entry, const TensorEntry& other) {
  throw UserError(
      fmt::format("{}: changes the same part as {}", place_of(entry), printable(other.source_key)));
}

class Sorting {
 public:
  void take(const LoraName& name, const TensorEntry& entry) {
    if (name.target == nullptr) {
      strangers_.push_back({&entry, name.reason});
      return;
    }
    if (name.peft) check_adapter(name, entry);
    if (name.role != LoraRole::Alpha) check_type(entry);
    if (name.role == LoraRole::Difference) {
      take_difference(name, entry);
    } else {
      take_part(name, entry);
    }
  }

  void drop_misfits() {
    for (auto pair = sorted_.pairs.begin(); pair != sorted_.pairs.end();) {
      check_whole(pair->second);
      pair = fits(pair->second) ? std::next(pair) : sorted_.pairs.erase(pair);
    }
    std::erase_if(sorted_.differences, [&](const auto& each) {
      const auto& [changed, entry] = each.second;
      if (alike(entry->shape, changed->shape)) return false;
      strangers_.push_back({entry, misfit(*entry, changed->shape)});
      return true;
    });
  }

  SortedParts finish(Unmatched unmatched) {
    if (unmatched == Unmatched::Refuse && !strangers_.empty()) refuse();
    for (const Stranger& each : strangers_) sorted_.left_out.push_back(each.entry->source_key);
    return std::move(sorted_);
  }

 private:
  void take_part(const LoraName& name, const TensorEntry& entry) {
    PairParts& parts = sorted_.pairs[name.target->name];
    const TensorEntry*& part = name.role == LoraRole::Down ? parts.down
                               : name.role == LoraRole::Up ? parts.up
                                                           : parts.alpha;
    if (part != nullptr) refuse_twice(entry, *part);
    part = &entry;
    parts.module = name.target;
    parts.peft = parts.peft || name.peft;
    for (const std::string& each : {name.module, name.bare}) {
      if (std::find(parts.names.begin(), parts.names.end(), each) == parts.names.end())
        parts.names.push_back(each);
    }
  }

  void take_difference(const LoraName& name, const TensorEntry& entry) {
    const auto [held, added] =
        sorted_.differences.try_emplace(name.changed->key, DifferenceParts{name.changed, &entry});
    if (!added) refuse_twice(entry, *held->second.entry);
  }

  void check_adapter(const LoraName& name, const TensorEntry& entry) {
    if (!adapter_) adapter_ = name.adapter;
    if (*adapter_ == name.adapter) return;
    throw UserError(fmt::format("{}: its adapter is '{}', of a tensor before it '{}'; one is expected",
                                place_of(entry), printable(name.adapter), printable(*adapter_)));
  }

  static void check_whole(const PairParts& parts) {
    if (parts.down != nullptr && parts.up != nullptr) return;
    const TensorEntry* have = parts.down != nullptr ? parts.down
                              : parts.up != nullptr ? parts.up
                                                    : parts.alpha;
    throw UserError(fmt::format("{}: the {} of {} is missing", place_of(*have),
                                parts.down == nullptr ? "lora_A (lora_down)" : "lora_B (lora_up)",
                                parts.module->name));
  }

  bool fits(const PairParts& parts) {
    const Shape weight = matrix_shape(parts.module->tensors.at(0));
    const std::int64_t rank = parts.down->shape.empty() ? 0 : parts.down->shape[0];
    const std::array<std::pair<const TensorEntry*, Shape>, 2> wanted = {
        {{parts.down, {std::max<std::int64_t>(rank, 1), weight[1]}}, {parts.up, {weight[0], rank}}}};
    for (const auto& [entry, shape] : wanted) {
      if (rank > 0 && entry->shape.size() >= 2 && entry->shape[0] == shape[0] && alike(entry->shape, shape))
        continue;
      const std::string reason = misfit(*entry, shape);
      for (const TensorEntry* each : {parts.down, parts.up, parts.alpha}) {
        if (each != nullptr) strangers_.push_back({each, each == entry ? reason : ""});
      }
      return false;
    }
    return true;
  }

  [[noreturn]] void refuse() const {
    const auto first = std::find_if(strangers_.begin(), strangers_.end(),
                                    [](const Stranger& each) { return !each.reason.empty(); });
    const std::size_t others = strangers_.size() - 1;
    const std::string more =
        others == 0
            ? "; --lora.unmatched skip leaves it out"
            : fmt::format("; {} more do not fit the model; --lora.unmatched skip leaves them out", others);
    throw UserError(place_of(*first->entry) + (first->reason.starts_with("has ") ? " " : ": ") +
                    first->reason + more);
  }

  SortedParts sorted_;
  std::vector<Stranger> strangers_;
  std::optional<std::string> adapter_;
};

}  // namespace

std::vector<std::int64_t> matrix_shape(const model::TensorSpec& weight) { return flattened(weight.shape); }

TensorEntry reshaped(const TensorEntry& entry, std::vector<std::int64_t> shape) {
  TensorEntry result = entry;
  result.strides.assign(shape.size(), 1);
  for (std::size_t i = shape.size(); i > 1; --i) result.strides[i - 2] = result.strides[i - 1] * shape[i - 1];
  result.shape = std::move(shape);
  return result;
}

SortedParts sort_parts(const std::vector<TensorEntry>& entries, const LoraNames& names, Unmatched unmatched) {
  Sorting sorting;
  for (const TensorEntry& entry : entries) sorting.take(names.read(entry), entry);
  sorting.drop_misfits();
  return sorting.finish(unmatched);
}

}  // namespace ferry::checkpoint
