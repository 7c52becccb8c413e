#include "parallel/choose_cfg.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/mesh.h"

namespace ferry::parallel {

namespace {

// Ranks that do better in halves though all could share a sequence.  Two then exchange nothing inside a
// forward.  Four measured alike: a guided step of 14B on four H200 1.60 s in halves and 1.61 s paired (81
// frames), 0.43 s both (29 frames), at bb05212.
constexpr int kHalvesBetter = 2;
// Of a device's memory; the rest is for contexts and libraries.
constexpr double kUsable = 0.95;

// Whether one video's ranks can be `branches` groups.
bool suits(const CfgCase& on, int branches) {
  const int ulysses = ulysses_left(on.ranks, branches * std::max(1, on.options.data), on.heads);
  return ulysses > 0 && (on.options.ulysses == 0 || on.options.ulysses == ulysses);
}

bool fits(const CfgCase& on) {
  return static_cast<double>(on.bytes) <= kUsable * static_cast<double>(on.total_bytes);
}

// "12 heads", "4 heads, ulysses 2"
std::string heads_of(const CfgCase& on) {
  const std::string given = on.options.ulysses == 0 ? "" : fmt::format(", ulysses {}", on.options.ulysses);
  return fmt::format("{} heads{}", on.heads, given);
}

std::string gb(std::size_t bytes) { return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9); }

}  // namespace

CfgChoice choose_cfg(const CfgCase& on) {
  if (on.ranks == 1) return {CfgMode::Paired, "one rank has both branches"};
  if (!on.guided) return {CfgMode::Paired, "there is one branch"};
  if (!suits(on, 2)) {
    return {CfgMode::Paired, fmt::format("{} ranks cannot be halves ({})", on.ranks, heads_of(on))};
  }
  if (!suits(on, 1)) {
    return {CfgMode::Parallel, fmt::format("{} ranks cannot share a sequence ({})", on.ranks, heads_of(on))};
  }
  if (on.ranks > kHalvesBetter) return {CfgMode::Paired, fmt::format("{} ranks share a sequence", on.ranks)};
  if (!fits(on)) {
    return {CfgMode::Paired,
            fmt::format("in halves a rank would take {} of {}", gb(on.bytes), gb(on.total_bytes))};
  }
  return {CfgMode::Parallel, fmt::format("{} ranks in halves exchange nothing in a forward", on.ranks)};
}

const char* name_of(CfgMode mode) {
  switch (mode) {
    case CfgMode::Auto:
      return "auto";
    case CfgMode::Serial:
      return "serial";
    case CfgMode::Paired:
      return "paired";
    case CfgMode::Parallel:
      return "parallel";
  }
  return "";
}

}  // namespace ferry::parallel
