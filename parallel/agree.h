// Errors on which ranks agree: when one has failed, all leave with its error instead of waiting for it.
//
// An error keeps its kind on the way: one of base/error.h or a RunFailure; any other exception becomes an
// Error.  Its text stays too, behind "rank 2: " unless it is a UserError or there is one rank.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "parallel/mpi/session.h"
#include "parallel/peers.h"

namespace ferry::parallel {

// `error` as words for the other ranks; never empty.
std::string failure_words(const std::exception& error);

// Throws the error of the first rank that has one, on every rank.  `mine` are this rank's failure_words(), or
// empty.  Collective over the peers; the host waits.
void throw_first_failure(const Peers& peers, const std::string& mine);

// Runs `work` on every rank; when it throws on any, every rank throws the error of the first.  Collective
// over the peers.
void fail_together(const Peers& peers, const std::function<void()>& work);

// The same for UserError alone.  Other exceptions pass through at once: they bring the job down in the name
// of the rank where they happened.  Collective over the world.
void agree(Session& session, const std::function<void()>& work);

// Runs `work` on rank 0 alone and returns its result on every rank; its UserError is thrown on every rank.
// Collective over the world.
std::string from_rank_0(Session& session, const std::function<std::string()>& work);

}  // namespace ferry::parallel
