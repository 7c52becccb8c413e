// Numbers that groups of ranks take in turn: which video a group makes next, without anybody who hands them
// out.
#pragma once

#include <cstdint>
#include <memory>

#include "parallel/mpi/session.h"

namespace ferry::parallel {

// A counter in the first rank's memory, which the others raise by one-sided MPI.  On other nodes that needs
// the first rank's communication thread to look at MPI, which it does once a second at least.
class Claims {
 public:
  // Collective over all ranks of the session, which must outlive it.  Throws MpiError.
  explicit Claims(Session& session);
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  // Begins anew.  Collective over all ranks of the session; none may be in take().
  void restart();
  // The next number that nobody has taken, from 0 on.  Call on one rank of each group.  Blocks for a message
  // to the first rank and back.  Throws MpiError, and Error after the session's deadline.
  std::int64_t take();
  // Nobody takes a number below kClosed any longer, until restart().
  void close();

  static constexpr std::int64_t kClosed = std::int64_t{1} << 40;

 private:
  struct Window;
  std::int64_t add(std::int64_t more);

  Session& session_;
  std::shared_ptr<Window> window_;
  std::int64_t base_ = 0;
};

}  // namespace ferry::parallel
