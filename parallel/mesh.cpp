#include "parallel/mesh.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace ferry::parallel {

namespace {

// The degree that takes what the others leave of the ranks.
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

void check_heads(int heads, int ulysses, int world_size) {
  if (heads % ulysses == 0) return;
  std::vector<int> working = ulysses_degrees(heads);
  std::erase_if(working, [&](int degree) { return degree > world_size; });
  throw UserError(
      fmt::format("{} attention heads do not divide by {} Ulysses ranks: parallel.ulysses can be {}", heads,
                  ulysses, fmt::join(working, ", ")));
}

}  // namespace

Mesh make_mesh(const Options& options, int world_size, int world_rank, int heads) {
  check_not_negative("parallel.ulysses", options.ulysses);
  check_not_negative("parallel.data", options.data);
  if (options.ulysses == 0 && options.data == 0) {
    throw UserError(
        "parallel.data = 0 and parallel.ulysses = 0: only one of them can be what is left of the ranks");
  }
  Mesh mesh;
  mesh.cfg = options.cfg == CfgMode::Parallel ? 2 : 1;
  if (world_size % mesh.cfg != 0) {
    throw UserError(fmt::format("parallel.cfg = parallel needs an even number of ranks, not {}", world_size));
  }
  mesh.data = options.data;
  mesh.ulysses = options.ulysses;
  if (mesh.data == 0) mesh.data = what_is_left(world_size, mesh.cfg * mesh.ulysses, "parallel.data");
  if (mesh.ulysses == 0) mesh.ulysses = what_is_left(world_size, mesh.cfg * mesh.data, "parallel.ulysses");
  if (mesh.size() != world_size) {
    throw UserError(fmt::format("data {} x cfg {} x ulysses {} are {} ranks, but {} were started", mesh.data,
                                mesh.cfg, mesh.ulysses, mesh.size(), world_size));
  }
  check_heads(heads, mesh.ulysses, world_size);
  mesh.ulysses_index = world_rank % mesh.ulysses;
  mesh.cfg_index = world_rank / mesh.ulysses % mesh.cfg;
  mesh.data_index = world_rank / (mesh.ulysses * mesh.cfg);
  return mesh;
}

std::vector<int> ulysses_degrees(int heads) {
  std::vector<int> degrees;
  for (int degree = 1; degree <= heads; ++degree) {
    if (heads % degree == 0) degrees.push_back(degree);
  }
  return degrees;
}

}  // namespace ferry::parallel
