// Errors of the user, the same on every rank, so that all leave together.
#pragma once

#include <functional>
#include <string>

#include "parallel/mpi/session.h"

namespace ferry::parallel {

// Runs `work` on every rank.  When it threw UserError on any, every rank throws the UserError of the first.
// Other exceptions pass through: they bring the job down.  Collective over the world.
void agree(Session& session, const std::function<void()>& work);

// Runs `work` on rank 0 alone and returns its result on every rank; its UserError is thrown on every rank.
// Collective over the world.
std::string from_rank_0(Session& session, const std::function<std::string()>& work);

}  // namespace ferry::parallel
