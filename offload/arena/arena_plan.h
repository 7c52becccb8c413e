// What the host copy of one network is made of.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/weights.h"
#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"

namespace ferry::offload {

// Another way to run, and what it would take on the host.
struct HostAlternative {
  std::string setting;
  std::size_t bytes = 0;
};

struct ArenaPlan {
  model::NetworkSpec spec;                  // as the network asks for its tensors
  model::NetworkSpec stored;                // the same with the dtypes that the host keeps
  ArenaLayout layout;                       // of `stored`
  int weight_ranks = 1;                     // P: ranks that share the copying of a block
  std::vector<int> divided{};               // blocks of which each rank at first copies a share (pin_order.h)
  std::vector<HostAlternative> narrower{};  // that would take less
  MemoryKind first = MemoryKind::Memfd;
  std::size_t file_bytes = std::size_t{64} << 20;  // a file of memfd memory has that many at least
};

// A copy that keeps `stored`, or what the network asks for.
ArenaPlan arena_plan(const model::NetworkSpec& spec, const model::NetworkSpec& stored, int weight_ranks);
ArenaPlan arena_plan(const model::NetworkSpec& spec, int weight_ranks);

}  // namespace ferry::offload
