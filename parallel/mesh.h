// The mesh data x cfg x ulysses over the world's ranks, ulysses innermost: a session numbers its ranks by
// node (mpi/session.h), so the ranks that exchange activations share one where its ranks are a multiple of
// theirs.
//
//   world rank = (data_index * cfg + cfg_index) * ulysses + ulysses_index
#pragma once

#include <span>

#include "parallel/options.h"

namespace ferry::parallel {

struct Mesh {
  int data = 1;
  int cfg = 1;
  int ulysses = 1;
  int data_index = 0;
  int cfg_index = 0;
  int ulysses_index = 0;

  int size() const { return data * cfg * ulysses; }
};

// Resolves `options` for `world_size` ranks and a model of `heads` attention heads, at `world_rank`.  Of the
// cfg modes only Parallel uses ranks.
// Throws UserError if the product of the degrees is not world_size, there are more Ulysses ranks than heads,
// or cfg is parallel with an odd number of ranks.  The message names what works on these ranks, and how many
// others would.
Mesh make_mesh(const Options& options, int world_size, int world_rank, int heads);

// How often an exchange sends all rows of a sequence from node to node, on average over the destinations,
// summed over the Ulysses groups of `ulysses` consecutive ranks each, whose nodes are `nodes` by rank: 0 if
// each group is inside a node, 1/2 for one group of two ranks on two nodes, 3/4 for four on four.
double crossings(std::span<const int> nodes, int ulysses);

// Groups of ranks that make videos at the same time: options.data, or what ulysses and cfg leave of the
// ranks. Throws UserError: they do not divide the ranks.
int groups_of(const Options& options, int world_size);

// The Ulysses degree if `others` is the product of the other degrees; 0 if they do not divide the ranks, or
// it exceeds the heads.
int ulysses_left(int ranks, int others, int heads);

}  // namespace ferry::parallel
