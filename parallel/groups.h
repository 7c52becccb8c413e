// The communicators of a mesh, for one device type.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "parallel/group.h"
#include "parallel/mesh.h"
#include "parallel/mpi/session.h"

namespace ferry::parallel {

// Each rank is in one group of each kind.
struct Groups {
  std::unique_ptr<Group> ulysses;    // ranks of one sequence; rank in it = mesh.ulysses_index
  std::unique_ptr<Group> cfg;        // guidance branches of one shard; rank in it = mesh.cfg_index
  std::unique_ptr<Group> data_root;  // ranks of one video, for broadcasts; rank 0 is its first
  // Ranks of one video on this node, across branches: they use the same weights in the same order, and can
  // share the copies of them.  A communicator of their own.
  std::unique_ptr<Group> copy_sharers;
};

// NCCL if `device` is a GPU, MPI on the CPU; a group of one rank needs neither.  `ulysses` and `copy_sharers`
// use copies as `exchange` says if all their ranks are on one node; if copies turn out not to work, that is
// logged, as a warning if they were requested.  Collective over the world; `ranks` and `device` must outlive
// the groups.  Throws MpiError, NcclError, Error.
Groups make_groups(Session& ranks, const Mesh& mesh, Device& device, ExchangeBy exchange = ExchangeBy::Auto);

// Blocks the host until `event` is done, as Event::synchronize does, but throws if a group has failed
// (NcclError) or after `patience_s` seconds (Error).  `at_look` (optional) is called at each poll; when it
// returns true, there was progress, and the time counts from there.
void wait_for(const Event& event, const Groups& groups, double patience_s,
              const std::function<bool()>& at_look = {});

}  // namespace ferry::parallel
