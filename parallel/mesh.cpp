#include "parallel/mesh.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"

namespace ferry::parallel {

namespace {

// The degree that uses all ranks left by the others.
int what_is_left(int world_size, int others, const char* key) {
  if (world_size % others != 0) {
    throw UserError(
        fmt::format("{} ranks do not divide by {}, the product of the other degrees, so {} cannot "
                    "be what is left: use a multiple of {} ranks",
                    world_size, others, key, others));
  }
  return world_size / others;
}

void check_not_negative(const char* key, int value) {
  if (value < 0)
    throw UserError(fmt::format("{} = {}: 1 or more, or 0 for what is left of the ranks", key, value));
}

[[noreturn]] void refuse_two_left() {
  throw UserError(
      "parallel.data = 0 and parallel.ulysses = 0: only one of them can be what is left of the ranks");
}

// "; use --cfg parallel (ulysses 4, with guidance), or start 6 or 4 ranks": what the heads allow on these
// ranks with one or two branches, and the next smaller numbers of ranks for the requested mode.
std::string what_works(const Options& options, int world_size, int heads) {
  const int data = std::max(1, options.data);
  std::vector<std::string> ways;
  if (const int ulysses = ulysses_left(world_size, data, heads)) {
    ways.push_back(fmt::format("--cfg paired (ulysses {})", ulysses));
  }
  if (const int ulysses = ulysses_left(world_size, 2 * data, heads)) {
    ways.push_back(fmt::format("--cfg parallel (ulysses {}, with guidance)", ulysses));
  }
  const int branches = options.cfg == CfgMode::Parallel ? 2 : 1;
  std::vector<int> counts;
  for (int ranks = world_size - 1; ranks > 0 && counts.size() < 2; --ranks) {
    if (ulysses_left(ranks, branches * data, heads) > 0) counts.push_back(ranks);
  }
  std::vector<std::string> all;
  if (!ways.empty()) all.push_back(fmt::format("use {}", fmt::join(ways, " or ")));
  if (!counts.empty()) {
    all.push_back(fmt::format("start {} rank{}", fmt::join(counts, " or "), counts.front() == 1 ? "" : "s"));
  }
  return all.empty() ? "" : fmt::format("; {}", fmt::join(all, ", or "));
}

}  // namespace

Mesh make_mesh(const Options& options, int world_size, int world_rank, int heads) {
  check_not_negative("parallel.ulysses", options.ulysses);
  check_not_negative("parallel.data", options.data);
  if (options.ulysses == 0 && options.data == 0) refuse_two_left();
  Mesh mesh;
  mesh.cfg = options.cfg == CfgMode::Parallel ? 2 : 1;
  if (world_size % mesh.cfg != 0) {
    throw UserError(fmt::format("parallel.cfg = parallel needs an even number of ranks, not {}{}", world_size,
                                what_works(options, world_size, heads)));
  }
  mesh.data = options.data;
  mesh.ulysses = options.ulysses;
  if (mesh.data == 0) mesh.data = what_is_left(world_size, mesh.cfg * mesh.ulysses, "parallel.data");
  if (mesh.ulysses == 0) mesh.ulysses = what_is_left(world_size, mesh.cfg * mesh.data, "parallel.ulysses");
  if (mesh.size() != world_size) {
    throw UserError(fmt::format("data {} x cfg {} x ulysses {} are {} ranks, but {} were started{}",
                                mesh.data, mesh.cfg, mesh.ulysses, mesh.size(), world_size,
                                what_works(options, world_size, heads)));
  }
  if (heads < mesh.ulysses) {
    throw UserError(fmt::format("{} attention heads are too few for {} Ulysses ranks{}", heads, mesh.ulysses,
                                what_works(options, world_size, heads)));
  }
  mesh.ulysses_index = world_rank % mesh.ulysses;
  mesh.cfg_index = world_rank / mesh.ulysses % mesh.cfg;
  mesh.data_index = world_rank / (mesh.ulysses * mesh.cfg);
  return mesh;
}

// Each rank sends each other rank of its group 1 / ulysses of its own rows, which are 1 / ulysses of all.
double crossings(std::span<const int> nodes, int ulysses) {
  int pairs = 0;
  const auto size = static_cast<std::size_t>(ulysses);
  for (std::size_t first = 0; first + size <= nodes.size(); first += size) {
    for (const int from : nodes.subspan(first, size)) {
      for (const int to : nodes.subspan(first, size)) pairs += from == to ? 0 : 1;
    }
  }
  return static_cast<double>(pairs) / ulysses / ulysses;
}

int groups_of(const Options& options, int world_size) {
  check_not_negative("parallel.ulysses", options.ulysses);
  check_not_negative("parallel.data", options.data);
  if (options.data == 0 && options.ulysses == 0) refuse_two_left();
  const int cfg = options.cfg == CfgMode::Parallel ? 2 : 1;
  const int groups =
      options.data > 0 ? options.data : what_is_left(world_size, cfg * options.ulysses, "data");
  if (world_size % groups != 0)
    throw UserError(fmt::format("data {}: {} ranks do not divide by it", groups, world_size));
  return groups;
}

int ulysses_left(int ranks, int others, int heads) {
  if (ranks % others != 0) return 0;
  const int ulysses = ranks / others;
  return ulysses <= heads ? ulysses : 0;
}

}  // namespace ferry::parallel
