// One range of host memory that the ranks of a node share.
//
//   memfd       anonymous, passed by descriptor over an abstract Unix socket (or opened through /proc):
//               nothing has a name in a file system, so nothing is left behind however the ranks end.  Many
//               files one behind the other: of one file the kernel makes and frees pages one at a time
//   mpi window  MPI_Win_allocate_shared; lives in /dev/shm; aligned to a page by us
//   private     each rank its own
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "parallel/peers.h"

namespace ferry {
class Device;
}

namespace ferry::parallel {
class Session;
}

namespace ferry::offload {

enum class MemoryKind : std::uint8_t { Memfd, Window, Private };

std::string_view name_of(MemoryKind kind);

class NodeMemory {
 public:
  virtual ~NodeMemory() = default;
  virtual MemoryKind kind() const = 0;
  virtual std::byte* data() const = 0;  // at a page; zeroed
  virtual std::size_t bytes() const = 0;
  // Nobody can write, shrink or grow it any more, as far as the kind allows.
  virtual void seal() = 0;
};

// The ranks of one node and what they can share.
struct NodeRanks {
  parallel::Peers peers;
  // Makes an MPI window of that many bytes, collective over the peers; empty: there is no MPI.
  std::function<std::unique_ptr<NodeMemory>(std::size_t bytes)> make_window{};
  // The NUMA node that this rank's part of the memory should lie on (placement.h); -1: anywhere.
  int home = -1;
};

// Collective over every rank of the session whenever `peers.all_gather` is called.
NodeRanks node_ranks(parallel::Session& session);
// The same for ranks that compute on these devices: memory is placed near each.
NodeRanks node_ranks(parallel::Session& session, const Device& device);

struct MemorySize {
  std::size_t bytes = 0;
  std::vector<std::size_t>
      files{};  // where the second and later files begin, ascending; not at a page: none does
};

// Memory that all ranks of the node see: of the first kind from `first` on (in the order above) that works
// on every rank.  A fallback is warned about by the node's rank 0.  When it comes to private memory with
// several ranks, `check_private` is called before; it may throw.  Collective.
// Throws SystemError when not even private memory can be had.
std::unique_ptr<NodeMemory> make_node_memory(const MemorySize& size, const NodeRanks& node, MemoryKind first,
                                             const std::function<void()>& check_private);

// The single kinds.  Throw SystemError; collective, except private; a rank that throws leaves the others
// with an exception too.
std::unique_ptr<NodeMemory> make_memfd_memory(const MemorySize& size, const parallel::Peers& node);
std::unique_ptr<NodeMemory> make_private_memory(std::size_t bytes);

}  // namespace ferry::offload
