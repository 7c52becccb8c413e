// Errors agreed on by all ranks: when one rank fails, all throw its error instead of waiting for it.
//
// An error keeps its kind in transit: one of base/error.h or RunFailure; any other exception becomes an
// Error.  It also keeps its text, prefixed with "rank 2: " unless it is a UserError or there is one rank.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "parallel/mpi/session.h"
#include "parallel/peers.h"

namespace ferry::parallel {

// Encodes `error` for the other ranks; never empty.
std::string failure_words(const std::exception& error);

// On every rank, throws the error of the lowest rank that has one.  `mine` is this rank's failure_words(), or
// empty.  Collective over the peers; blocks the host.
void throw_first_failure(const Peers& peers, const std::string& mine);

// Runs `work` on every rank; if it throws on any, every rank throws the error of the lowest such rank.
// Collective over the peers.
void fail_together(const Peers& peers, const std::function<void()>& work);

// As above, for UserError only.  Other exceptions propagate at once and bring the job down, reported by the
// rank that threw.  Collective over the world.
void agree(Session& session, const std::function<void()>& work);

// Runs `work` on rank 0 alone and returns its result on every rank; its UserError is thrown on every rank.
// Collective over the world.
std::string from_rank_0(Session& session, const std::function<std::string()>& work);

}  // namespace ferry::parallel
