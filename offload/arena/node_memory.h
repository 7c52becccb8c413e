// Host memory shared by the ranks of a node.
//
//   memfd       anonymous, passed by descriptor over an abstract Unix socket (or opened through /proc):
//               nothing is named in a file system, so nothing is left behind however the ranks end. Many
//               files in a row: the kernel allocates and frees pages of one file one at a time
//   mpi window  MPI_Win_allocate_shared; in /dev/shm; page-aligned by us
//   private     one copy per rank
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
  virtual std::byte* data() const = 0;  // page-aligned; zeroed
  virtual std::size_t bytes() const = 0;
  // Makes the memory read-only and its size fixed, as far as the kind allows.
  virtual void seal() = 0;
};

// The ranks of one node and their means of sharing memory.
struct NodeRanks {
  parallel::Peers peers;
  // optional; makes an MPI window of the given size, collective over the peers. Empty without MPI.
  std::function<std::unique_ptr<NodeMemory>(std::size_t bytes)> make_window{};
  // The NUMA node for this rank's part of the memory (placement.h); -1: any.
  int home = -1;
  // optional; called by any thread for each piece that has been read or page-locked.
  std::function<void()> at_work{};
};

// Collective over all ranks of the session whenever `peers.all_gather` is called.
NodeRanks node_ranks(parallel::Session& session);
// As above; memory is placed near each rank's device.
NodeRanks node_ranks(parallel::Session& session, const Device& device);

struct MemorySize {
  std::size_t bytes = 0;
  std::vector<std::size_t>
      files{};  // offsets of the second and later files, ascending; ignored unless page-aligned
};

// Allocates memory visible to all ranks of the node.  Tries the kinds in the order above, starting at
// `first`, until one works on every rank.  The node's rank 0 warns about a fallback.  Before private memory
// is used with several ranks, `check_private` is called; it may throw.  Collective.
// Throws SystemError if not even private memory is available.
std::unique_ptr<NodeMemory> make_node_memory(const MemorySize& size, const NodeRanks& node, MemoryKind first,
                                             const std::function<void()>& check_private);

// The individual kinds.  Throw SystemError; collective, except private; if one rank throws, so do the others.
std::unique_ptr<NodeMemory> make_memfd_memory(const MemorySize& size, const parallel::Peers& node);
std::unique_ptr<NodeMemory> make_private_memory(std::size_t bytes);

}  // namespace ferry::offload
