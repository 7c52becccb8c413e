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
// A piece of this rank's part in all_gather_parts, ready once `there` has fired.
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
  // True if ranks copy directly into each other's memory from allocate().
  virtual bool copies() const { return false; }

  // The piece of rank r's `send` that goes to q becomes the piece of q's `recv` that comes from r.  A number
  // of bytes means even pieces.  With pieces without_own, r's own piece is not moved.  The buffers must not
  // overlap.
  // Throws std::invalid_argument for pieces of another number of ranks.
  virtual void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) = 0;

  // recv[r * bytes_per_rank ...] on every rank becomes rank r's `send`.  `send` may be this rank's own place
  // in `recv`; otherwise the two must not overlap.
  virtual void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) = 0;

  // Part r of `data` on every rank becomes that of rank r, which has it in place.  `parts`, by rank, do not
  // overlap; some may be empty.  `mine` are the pieces of this rank's part, in the order in which they become
  // ready; their events have been recorded.  If ranks copy into each other's memory, a piece is sent once it
  // is ready and `gate` (optional) is open; otherwise all parts are sent together when all are ready.
  virtual void all_gather_parts(void* data, std::span<const Range> parts, std::span<const Slice> mine,
                                StreamGate* gate, Stream& stream);

  // `buffer` of every rank becomes that of `root`.
  virtual void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) = 0;

  // Point-to-point messages, all in flight at once: the n-th message to a peer matches the n-th that it
  // expects from this rank, of the same size.  One send buffer may go to several peers; otherwise buffers
  // must not overlap.  The lists need not outlive the call.  A rank without messages may omit the call.
  // Throws std::invalid_argument if a peer is this rank or not in the group.
  virtual void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                         Stream& stream) = 0;

  // Memory of `device` with unspecified content.  If ranks can copy into each other's memory, all-to-alls and
  // all-gathers that receive at the same place in it on every rank are done by copies (copy_group.h).  The
  // group must outlive the memory.  Allocating and freeing are collective and block.  Throws OutOfMemory, on
  // every rank.
  virtual DeviceMemory allocate(Device& device, std::size_t bytes) { return device.allocate(bytes); }

  // Throws NcclError if the communicator has failed; a group over MPI reports errors through its stream
  // instead. Cheap; call it while polling for completion.
  virtual void check() = 0;
};

// Throws std::invalid_argument unless 0 <= root < group.size().
void check_root(const Group& group, int root);
// Throws std::invalid_argument for a peer that send_recv refuses.
void check_peers(const Group& group, std::span<const Outgoing> sends, std::span<const Incoming> receives);

}  // namespace ferry::parallel
