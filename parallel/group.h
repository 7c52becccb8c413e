// A communicator of P ranks and the collectives the model needs, over NCCL on GPUs and MPI on the CPU.
//
// Every operation is collective: each rank of the group calls the same operations in the same order with
// the same sizes.  An operation is queued in order on `stream` and the call returns at once.  (On the
// CPU's compute stream, which is the calling thread, it returns when the operation is done.)
//
// Any number of bytes, 0 included.  One thread of a rank calls all operations of all its groups, and every
// rank queues them in the same order.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/device.h"
#include "base/stream_gate.h"
#include "parallel/pieces.h"

namespace ferry::parallel {

// Messages of send_recv; `peer` is another rank of the group.
struct Outgoing {
  int peer = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};
struct Incoming {
  int peer = 0;
  void* data = nullptr;
  std::size_t bytes = 0;
};

// Contiguous bytes of a buffer.
struct Range {
  std::size_t offset = 0;
  std::size_t bytes = 0;
  friend bool operator==(const Range&, const Range&) = default;
};
// A piece of what all_gather_parts takes from this rank, which is there once `there` has happened.
struct Slice {
  Range range;
  const Event* there = nullptr;
};

class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& backend() const = 0;  // "mpi", "nccl 2.28.9", "single"
  // Ranks copy into each other's memory of allocate().
  virtual bool copies() const { return false; }

  // The piece of `recv` that comes from rank r becomes, on rank q, the piece of r's `send` that goes to q.  A
  // number of bytes stands for even pieces.  Pieces without_own leave r's own place as it is.  The buffers do
  // not overlap.
  // Throws std::invalid_argument for pieces of another number of ranks.
  virtual void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) = 0;

  // recv[r * bytes_per_rank ...] on every rank becomes `send` of rank r.  `send` may be this rank's own
  // place in `recv`; otherwise the two do not overlap.
  virtual void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) = 0;

  // Part r of `data` on every rank becomes that of rank r, which has it in place.  `parts`, by rank, do not
  // overlap; some may be empty.  `mine` are this rank's pieces of its own part, in the order in which they
  // get there; their events have been recorded.  Where ranks copy into each other's memory a piece is on its
  // way to the others as soon as it is there and `gate` (nullptr: none) is open; otherwise the parts go
  // together when all are.
  virtual void all_gather_parts(void* data, std::span<const Range> parts, std::span<const Slice> mine,
                                StreamGate* gate, Stream& stream);

  // `buffer` of every rank becomes that of `root`.
  virtual void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) = 0;

  // Messages between pairs of ranks, all under way at once: the n-th that goes to a peer is the n-th that it
  // expects from this rank, of equal bytes.  What is sent may be sent to several peers; no two of the other
  // places overlap.  The lists may go when the call returns.  A rank without messages may leave the call out.
  // Throws std::invalid_argument for a peer that is this rank or none of the group.
  virtual void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                         Stream& stream) = 0;

  // Memory of `device` with unspecified content: where ranks can copy into each other's, all-to-alls and
  // all-gathers that receive at the same place of it on every rank go that way (copy_group.h).  The group
  // outlives it.  Collective, as giving it back is; blocks.  Throws OutOfMemory, on every rank.
  virtual DeviceMemory allocate(Device& device, std::size_t bytes) { return device.allocate(bytes); }

  // Throws NcclError when the communicator has failed; a group over MPI reports at its stream instead.
  // Cheap; for a host that waits and wants to know whether what it waits for can still come.
  virtual void check() = 0;
};

// Throws std::invalid_argument unless 0 <= root < group.size().
void check_root(const Group& group, int root);
// Throws std::invalid_argument for a peer that send_recv refuses.
void check_peers(const Group& group, std::span<const Outgoing> sends, std::span<const Incoming> receives);

}  // namespace ferry::parallel
