// Decides which weights stay between the videos of one program, on the host and on the device.
#pragma once

#include <array>
#include <cstddef>

#include "parallel/mpi/session.h"
#include "worker/role.h"

namespace ferry::worker {

// Networks needed by a later video whose copies may stay on a host with `room` bytes for weights, such that
// each of the others still has room while its stage runs: chosen to minimise the bytes to read again.
//
//   bytes   of each network's host copy; 0: not in this program
ByRole<bool> kept_within(std::size_t room, const ByRole<std::size_t>& bytes, const ByRole<bool>& later);

// The same for all nodes together, of the least room and the most bytes of any rank: `room` and `bytes` are
// those of this rank's node, `later` is the same on every rank, and so is the result.  Collective over the
// world.
ByRole<bool> kept_on_all(parallel::Session& session, std::size_t room, const ByRole<std::size_t>& bytes,
                         const ByRole<bool>& later);

// All roles, the one that is needed last first, while a stage of `now` runs, or before it: that of `now` is
// the last.
std::array<Role, kRoleCount> needed_last_first(Role now);

// What a stage takes of a device.
struct StageBytes {
  bool stays = false;  // weights stay between stages and videos
  std::size_t weights = 0;
  std::size_t activations = 0;
};

// Memory of all stages together: the weights that stay, plus the maximum that one stage needs in addition.
std::size_t bytes_together(const ByRole<StageBytes>& stages);

}  // namespace ferry::worker
