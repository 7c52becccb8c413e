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
#include <string>

#include "base/device.h"

namespace ferry::parallel {

class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& backend() const = 0;  // "mpi", "nccl 2.28.9", "single"

  // recv[r * bytes_per_rank ...] on rank q becomes send[q * bytes_per_rank ...] of rank r.
  // Both buffers hold size() * bytes_per_rank bytes and do not overlap.
  virtual void all_to_all(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) = 0;

  // recv[r * bytes_per_rank ...] on every rank becomes `send` of rank r.  `send` may be this rank's own
  // place in `recv`; otherwise the two do not overlap.
  virtual void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) = 0;

  // `buffer` of every rank becomes that of `root`.
  virtual void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) = 0;

  // Throws NcclError when the communicator has failed; a group over MPI reports at its stream instead.
  // Cheap; for a host that waits and wants to know whether what it waits for can still come.
  virtual void check() = 0;
};

// Throws std::invalid_argument unless 0 <= root < group.size().
void check_root(const Group& group, int root);

}  // namespace ferry::parallel
