// The control plane: small messages in host memory by which ranks agree on what to do.
#pragma once

#include <mpi.h>

#include <string>
#include <vector>

#include "parallel/mpi/comm_thread.h"

namespace ferry::parallel {

// Every operation is collective over the communicator, called by the main thread of each of its ranks in
// the same order, and blocks.  It takes its turn on the communication thread, after the exchanges that are
// already queued there.
// Throws MpiError, and Error when a rank does not come within the deadline.
class Control {
 public:
  // Both stay the caller's and outlive this object.
  Control(CommThread& thread, MPI_Comm comm);

  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm comm() const { return comm_; }

  void barrier();
  // The text of `root`, whatever the others pass.  Any length, any bytes.
  std::string broadcast(const std::string& text, int root);
  // Every rank's text, by rank.
  std::vector<std::string> all_gather(const std::string& text);
  // True when every rank says true.
  bool all_agree(bool mine);
  // The largest of every rank's number.
  double max(double mine);

 private:
  CommThread& thread_;
  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace ferry::parallel
