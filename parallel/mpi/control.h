// The control plane: small host-memory messages with which ranks coordinate.
#pragma once

#include <mpi.h>

#include <string>
#include <vector>

#include "parallel/mpi/comm_thread.h"

namespace ferry::parallel {

// Every operation is collective over the communicator, called by the main thread of each of its ranks in the
// same order, and blocks.  It runs on the communication thread, after the exchanges already queued there.
// Throws MpiError, and Error if a rank does not arrive within the deadline.
class Control {
 public:
  // Neither is owned; both must outlive this object.
  Control(CommThread& thread, MPI_Comm comm);

  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm comm() const { return comm_; }
  // Of its ranks in the thread's world.
  const std::vector<int>& numbers() const { return numbers_; }

  void barrier();
  // Returns the text of `root`; that of the others is ignored.  Any length, any bytes.
  std::string broadcast(const std::string& text, int root);
  // Returns every rank's text, by rank.
  std::vector<std::string> all_gather(const std::string& text);
  // True if `mine` is true on every rank.
  bool all_agree(bool mine);
  // The maximum of `mine` over the ranks.
  double max(double mine);

 private:
  CommThread& thread_;
  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  std::vector<int> numbers_;
};

}  // namespace ferry::parallel
