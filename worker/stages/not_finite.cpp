#include "worker/stages/not_finite.h"

#include <ATen/ops/isfinite.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ferry::worker {
namespace {

constexpr std::size_t kMostNamed = 3;

std::string describe(const Place& place, const model::NetworkSpec& spec) {
  if (place.block < 0) return place.part;
  const std::string& name = spec.blocks.at(static_cast<std::size_t>(place.block)).name;
  return fmt::format("block {} ({}{})", place.block, name, place.part == "block" ? "" : " " + place.part);
}

// Keys of the tensors with non-finite values in a block, head or tail.
std::vector<std::string> bad_tensors(model::Weights& weights, int block) {
  const model::NetworkSpec& spec = weights.spec();
  const auto& modules = block == model::ModuleId::kHead ? spec.head
                        : block == model::ModuleId::kTail
                            ? spec.tail
                            : spec.blocks.at(static_cast<std::size_t>(block)).modules;
  std::vector<std::string> bad;
  for (int m = 0; m < static_cast<int>(modules.size()); ++m) {
    const auto tensors = weights.on_host({block, m});
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!at::isfinite(tensors[i].to(at::kFloat)).all().item<bool>())
        bad.push_back(modules[static_cast<std::size_t>(m)].tensors.at(i).key);
    }
  }
  return bad;
}

}  // namespace

FiniteTrail::FiniteTrail(Device& device, std::size_t most, int first_turn)
    : device_(device), flags_(device, most), first_turn_(first_turn) {}

void FiniteTrail::look(std::string_view part, int block, const at::Tensor& values) {
  flags_.look(places_.size(), values);
  const std::string name(part);
  places_.push_back({name, block, first_turn_ + turns_[{name, block}]++});
}

model::Tap FiniteTrail::tap() {
  return [this](std::string_view name, int block, const at::Tensor& value) { look(name, block, value); };
}

std::optional<std::size_t> FiniteTrail::first_index() const {
  device_.compute().synchronize();
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (!flags_.finite(i)) return i;
  }
  return {};
}

std::optional<Place> FiniteTrail::first() const {
  const auto index = first_index();
  return index ? std::optional(places_[*index]) : std::nullopt;
}

std::optional<Place> FiniteTrail::first(parallel::Session& session) const {
  const auto mine = first_index();
  const std::size_t index = mine.value_or(places_.size());
  const auto place = mine ? places_[index] : Place{};
  const nlohmann::json told = {index, place.part, place.block, place.turn};
  std::optional<Place> first;
  std::size_t least = places_.size();
  for (const std::string& text : session.all_gather(told.dump())) {
    const nlohmann::json other = nlohmann::json::parse(text);
    if (other[0].get<std::size_t>() >= least) continue;
    least = other[0].get<std::size_t>();
    first = Place{other[1].get<std::string>(), other[2].get<int>(), other[3].get<int>()};
  }
  return first;
}

std::string_view branch_name(int turn) { return turn == 0 ? "the prompt" : "the negative prompt"; }

std::string begun_at(const std::optional<Place>& place, std::string_view whose, model::Weights& weights) {
  if (!place) return "the same again gave finite values, so memory or a device may be at fault";
  std::vector<std::string> bad = bad_tensors(weights, place->block);
  const std::string where =
      fmt::format("first in {}{}{}", describe(*place, weights.spec()), whose.empty() ? "" : " for ", whose);
  if (bad.empty()) return where + ", whose weights are finite";
  const std::size_t more = bad.size() - std::min(bad.size(), kMostNamed);
  bad.resize(bad.size() - more);
  return fmt::format("{}, where {}{} not finite", where, fmt::join(bad, ", "),
                     more > 0         ? fmt::format(" and {} more are", more)
                     : bad.size() > 1 ? " are"
                                      : " is");
}

}  // namespace ferry::worker
