// Which of Open MPI's components are used where its own choice is known to fail.
#pragma once

namespace ferry::parallel {

// Leaves `osc rdma` and `osc ucx` of Open MPI 4 out, unless OMPI_MCA_osc is set in this process's
// environment: it prefers them for a window of several hosts (claims.h), but between hosts that talk over TCP
// the one cannot make it, and the other crashes.  `osc pt2pt` can, over any network.  Does nothing with
// another MPI: Open MPI 5 has no `osc pt2pt`.  Call before MPI starts, on every rank.
void avoid_broken_components();

}  // namespace ferry::parallel
