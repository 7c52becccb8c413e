#include "launcher/sweep/cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;
using Kind = offload::StrategyKind;

constexpr auto kKeys = std::to_array<GridKey>({{"model", "model.path"},
                                               {"ranks", ""},
                                               {"size", "job.size"},
                                               {"frames", "job.frames"},
                                               {"attention", "attention.impl"},
                                               {"cfg", "parallel.cfg"},
                                               {"ulysses", "parallel.ulysses"},
                                               {"type", "dit.offload.type"},
                                               {"transport", "dit.offload.transport"},
                                               {"interleave", "dit.offload.interleave"},
                                               {"offload_ratio", "dit.offload.offload_ratio"},
                                               {"prefetch_size", "dit.offload.prefetch_size"},
                                               {"link_gbps", "dit.offload.link_gbps"}});

// One spelling of a path.
std::string plain_path(const std::string& path) {
  std::string plain = std::filesystem::path(path).lexically_normal().string();
  while (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return plain;
}

// The degree, 0 where it is not known before the ranks have chosen cfg.
int ulysses_of(const SweepCell& cell) {
  const parallel::Options& parallel = cell.options.parallel;
  if (parallel.ulysses > 0 || parallel.cfg == parallel::CfgMode::Auto) return parallel.ulysses;
  const int branches = parallel.cfg == parallel::CfgMode::Parallel ? 2 : 1;
  return cell.ranks % branches == 0 ? cell.ranks / branches : 0;
}

// Of one branch serial and paired are the same.
std::string cfg_of(const SweepCell& cell, bool guided) {
  const parallel::CfgMode mode = cell.options.parallel.cfg;
  if (!guided && mode != parallel::CfgMode::Parallel) return std::string(word_of(parallel::CfgMode::Serial));
  return std::string(word_of(mode));
}

void drop(Json& fields, std::initializer_list<const char*> names) {
  for (const char* name : names) fields[name] = nullptr;
}

// Only what is copied during a step has a speed.
void drop_without_effect(Json& fields, const SweepCell& cell) {
  const offload::Options& dit = cell.options.offload[worker::Role::Dit];
  const bool may_ferry = dit.type == Kind::Auto || (dit.type == Kind::Async && dit.offload_ratio > 0);
  if (dit.type != Kind::Async) drop(fields, {"offload_ratio"});
  if (!may_ferry) drop(fields, {"prefetch_size", "transport", "interleave"});
  if (!may_ferry && dit.type != Kind::Sequential) drop(fields, {"link_gbps"});
  if (cell.ranks == 1) drop(fields, {"transport"});
  if (ulysses_of(cell) == 1) drop(fields, {"interleave"});
}

bool is_of_grid(std::string_view key) {
  if (key.starts_with("offload.")) return is_of_grid("dit." + std::string(key));
  return std::ranges::any_of(grid_keys(), [key](const GridKey& each) { return key == each.key; });
}

}  // namespace

std::span<const GridKey> grid_keys() { return kKeys; }

Json fields_of(const SweepCell& cell, bool guided) {
  const worker::Options& options = cell.options;
  const offload::Options& dit = options.offload[worker::Role::Dit];
  Json fields = {{"model", plain_path(options.model.path)},
                 {"ranks", cell.ranks},
                 {"size", fmt::format("{}x{}", options.job.width.value(), options.job.height.value())},
                 {"frames", options.job.frames.value()},
                 {"attention", options.attention.impl},
                 {"cfg", cfg_of(cell, guided)},
                 {"ulysses", ulysses_of(cell)},
                 {"type", word_of(dit.type)},
                 {"transport", word_of(dit.transport)},
                 {"interleave", word_of(dit.interleave)},
                 {"offload_ratio", dit.offload_ratio},
                 {"prefetch_size", dit.prefetch_size},
                 {"link_gbps", dit.link_gbps}};
  drop_without_effect(fields, cell);
  return fields;
}

std::string name_of(const SweepCell& cell, bool guided) {
  std::string name;
  const Json fields = fields_of(cell, guided);
  for (const auto& [key, value] : fields.items()) {
    if (!value.is_null()) name += fmt::format("{}{}={}", name.empty() ? "" : " ", key, value.dump());
  }
  worker::Echo others;
  for (const auto& [key, value] : cell.options.echo) {
    if (!is_of_grid(key) && !key.starts_with("run.")) others.emplace_back(key, value);
  }
  std::ranges::sort(others);
  for (const auto& [key, value] : others) name += fmt::format(" {}={}", key, Json(value).dump());
  return name;
}

std::string label_of(const Json& fields) {
  const auto text = [&](const char* name) {
    const Json& value = fields.at(name);
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  std::string label = fmt::format("{} rank{}, cfg {}, {}", text("ranks"), fields.at("ranks") == 1 ? "" : "s",
                                  text("cfg"), text("type"));
  for (const char* name : {"transport", "interleave", "offload_ratio", "prefetch_size", "link_gbps"}) {
    const Json& value = fields.at(name);
    if (!value.is_null() && value != "auto") label += fmt::format(", {} {}", name, text(name));
  }
  return label + fmt::format(", {}, {} frames", text("size"), text("frames"));
}

}  // namespace ferry::launcher
