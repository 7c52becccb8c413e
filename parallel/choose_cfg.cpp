#include "parallel/choose_cfg.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/mesh.h"
#include "parallel/ulysses.h"

namespace ferry::parallel {

namespace {

// Number of ranks that is faster in halves even if all can share a sequence: two then exchange nothing inside
// a forward.  Four were equally fast: a guided step of 14B on four H200 took 1.60 s in halves and 1.61 s
// paired (81 frames), 0.43 s both (29 frames), at bb05212.
constexpr int kHalvesBetter = 2;
// Fraction of device memory; the rest is for contexts and libraries.
constexpr double kUsable = 0.95;

// Ranks per sequence with each video's ranks in `branches` groups; 0: impossible.
int ulysses_of(const CfgCase& on, int branches) {
  const int ulysses = ulysses_left(on.ranks, branches * std::max(1, on.options.data), on.heads);
  return on.options.ulysses == 0 || on.options.ulysses == ulysses ? ulysses : 0;
}

// Load of the rank with the most heads relative to an even share; attention waits for that rank.
double overload(const CfgCase& on, int ulysses) {
  const HeadSplit split(on.heads, ulysses);
  return static_cast<double>(split.most() * ulysses) / on.heads;
}

// Both branches cross in the group of all ranks, each in its own half.
bool halves_cross_less(const CfgCase& on, int halves, int all) {
  return crossings(on.nodes, halves) < 2 * crossings(on.nodes, all);
}

std::string crossing_less(const CfgCase& on, int halves) {
  const int nodes = on.nodes.back() + 1;
  if (crossings(on.nodes, halves) == 0) {
    return fmt::format("{} ranks are on {} nodes, and each half's exchanges stay inside one", on.ranks,
                       nodes);
  }
  return fmt::format("{} ranks are on {} nodes, and in halves send less between them", on.ranks, nodes);
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
  const int halves = ulysses_of(on, 2);
  const int all = ulysses_of(on, 1);
  if (halves == 0) {
    return {CfgMode::Paired, fmt::format("{} ranks cannot be halved ({})", on.ranks, heads_of(on))};
  }
  if (all == 0) {
    return {CfgMode::Parallel, fmt::format("{} ranks cannot share a sequence ({})", on.ranks, heads_of(on))};
  }
  const bool more_even = overload(on, halves) < overload(on, all);
  const bool cross_less = halves_cross_less(on, halves, all);
  if (on.ranks > kHalvesBetter && !more_even && !cross_less) {
    return {CfgMode::Paired, fmt::format("{} ranks share a sequence", on.ranks)};
  }
  if (!fits(on)) {
    return {CfgMode::Paired,
            fmt::format("in halves a rank would take {} of {}", gb(on.bytes), gb(on.total_bytes))};
  }
  if (cross_less) return {CfgMode::Parallel, crossing_less(on, halves)};
  if (more_even) {
    return {CfgMode::Parallel,
            fmt::format("{} heads go more evenly on {} ranks than on {}", on.heads, halves, all)};
  }
  return {CfgMode::Parallel, fmt::format("{} ranks in halves exchange nothing in a forward", on.ranks)};
}

}  // namespace ferry::parallel
