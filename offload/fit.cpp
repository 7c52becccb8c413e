#include "offload/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <cmath>
#include <set>
#include <sstream>

#include "base/error.h"
#include "offload/arena/layout.h"
#include "offload/need.h"
#include "offload/sequential/module_config.h"
#include "offload/stated_share.h"

namespace ferry::offload {

namespace {

constexpr double kLimitStep = 1e4;  // limits are rounded to 0.0001 GiB

bool may_be_async(const Options& options) {
  return options.type == StrategyKind::Async || options.type == StrategyKind::Auto;
}

bool may_be_sequential(const Options& options) {
  return options.type == StrategyKind::Sequential || options.type == StrategyKind::Auto;
}

class Fitter {
 public:
  Fitter(const model::NetworkSpec& spec, Fitted& fitted) : spec_(spec), fitted_(fitted) {}

  void prefetch() {
    const auto blocks = static_cast<int>(spec_.blocks.size());
    if (blocks == 0 || options().prefetch_size <= blocks || !is_shared("prefetch_size")) return;
    change("prefetch_size", options().prefetch_size, fmt::format("{}, the network's blocks", blocks));
    options().prefetch_size = blocks;
  }

  // A key of the stage's own wins over one for all stages.
  void share() {
    if (share_contradicts(options()) && is_shared("share") != is_shared("transport")) {
      if (is_shared("share")) {
        change("share", *options().share,
               fmt::format("auto, the stage's transport is {}", name_of(options().transport)));
        options().share.reset();
      } else {
        change("transport", name_of(options().transport),
               fmt::format("auto, the stage's share is {}", *options().share));
        options().transport = Transport::Auto;
      }
    }
    stated_share(spec_.name, options());  // to validate, before alone() changes it
  }

  void alone() {
    constexpr std::string_view kWhy = "stage runs on one rank alone";
    if (options().share && *options().share > 0) {
      cannot_follow("share", fmt::format("{}", *options().share), "0", kWhy);
      options().share = 0;
    }
    if (options().transport == Transport::Sharded) {
      cannot_follow("transport", name_of(options().transport), name_of(Transport::Full), kWhy);
      options().transport = Transport::Full;
    }
    free(kWhy);
  }

  void ungated() { free("stage has no exchanges that copies could be kept from"); }

  void computation_dtype(const std::string& key, std::map<std::string, std::string>& config) {
    const auto given = config.find("computation_dtype");
    const std::string_view own = name_of(spec_.compute);
    if (given == config.end() || given->second == own || !is_shared(key)) return;
    change(key + ".computation_dtype", given->second, fmt::format("{}, the network's", own));
    config.erase(given);
  }

  // An empty list would mean all modules, so a list left without kinds is kept as it is, and wraps nothing.
  void module_map() {
    const std::set<std::string> present = kinds();
    std::vector<std::string> kept;
    std::vector<std::string> absent;
    std::istringstream entries(options().module_map);
    for (std::string entry; std::getline(entries, entry, ',');) {
      std::erase_if(entry, [](unsigned char c) { return std::isspace(c) != 0; });
      const std::string kind = entry.substr(0, entry.find('='));
      (kind == "module" || present.contains(kind) ? kept : absent).push_back(entry);
    }
    if (absent.empty()) return;
    if (!is_shared("module_map")) {
      throw UserError(fmt::format("{}: the network has no {}; it has {}", name("module_map"),
                                  fmt::join(absent, ", "), fmt::join(present, ", ")));
    }
    const std::string left = fmt::format("{}", fmt::join(kept, ","));
    change("module_map", options().module_map,
           kept.empty() ? "nothing, the network has no such modules" : left + ", the kinds the network has");
    if (!kept.empty()) options().module_map = left;
  }

  void vram_limit(const Need& need) {
    const std::optional<double> limit = options().vram_limit;
    if (!limit || !(*limit > 0) || !is_shared("vram_limit") || limit_bytes(*limit) >= need.bytes) return;
    const double least = std::ceil(static_cast<double>(need.bytes) / kGiB * kLimitStep) / kLimitStep;
    change("vram_limit", *limit,
           fmt::format("{} GiB, the least for type {} ({})", least, name_of(options().type), need.breakdown));
    options().vram_limit = least;
  }

 private:
  Options& options() { return fitted_.options; }
  bool is_shared(const std::string& key) { return options().shared.contains(key); }
  std::string name(const std::string& key) const { return spec_.name + ".offload." + key; }

  template <typename Value>
  void change(const std::string& key, const Value& from, const std::string& to) {
    fitted_.changes.push_back(fmt::format("{}: {} becomes {}", name(key), from, to));
  }

  void free(std::string_view why) {
    if (options().interleave != Interleave::Gated) return;
    cannot_follow("interleave", name_of(options().interleave), name_of(Interleave::Free), why);
    options().interleave = Interleave::Free;
  }

  void cannot_follow(const std::string& key, std::string_view given, std::string_view plain,
                     std::string_view why) {
    if (!is_shared(key)) {
      throw UserError(fmt::format("{}: {}; this {}, accepted: {}, auto", name(key), given, why, plain));
    }
    change(key, given, fmt::format("{}, the {}", plain, why));
  }

  std::set<std::string> kinds() const {
    std::set<std::string> present;
    for (const model::ModuleId id : all_modules(spec_)) {
      const model::ModuleSpec& module = model::module_of(spec_, id);
      if (!module.host_only) present.insert(std::string(name_of(module.kind)));
    }
    return present;
  }

  const model::NetworkSpec& spec_;
  Fitted& fitted_;
};

}  // namespace

Fitted fit(const model::NetworkSpec& spec, const Options& options, const StageRanks& ranks) {
  Fitted fitted{.options = options, .plan = {}, .changes = {}};
  Fitter fitter(spec, fitted);
  if (may_be_async(options)) {
    fitter.prefetch();
    fitter.share();
    if (ranks.alone) {
      fitter.alone();
    } else if (!ranks.gated) {
      fitter.ungated();
    }
  }
  if (may_be_sequential(options)) {
    fitter.computation_dtype("module_config", fitted.options.module_config);
    fitter.computation_dtype("overflow_module_config", fitted.options.overflow_module_config);
    fitter.module_map();
  }
  // The minimum follows from a plan.
  Options unlimited = fitted.options;
  unlimited.vram_limit.reset();
  fitted.plan = make_plan(spec, unlimited, ranks.node_size);
  fitter.vram_limit(fitted.plan.need);
  set_limit(fitted.plan, fitted.options.vram_limit);
  return fitted;
}

}  // namespace ferry::offload
