// Ranks that decide something together: those of a communicator, and in tests threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ferry::parallel {

class Control;
class Session;

struct Peers {
  int rank = 0;
  int size = 1;
  // Gives every rank the words of all, in rank order.  Collective over the peers; the host waits.  May be
  // empty when size is 1.
  std::function<std::vector<std::string>(const std::string&)> all_gather;
};

// The ranks of `ranks`, which outlives them; all ranks of the session; those of this rank's node.
Peers peers_of(Control& ranks);
Peers world_peers(Session& session);
Peers node_peers(Session& session);

// all_gather that needs no call when there is one rank.
std::vector<std::string> all_gather_text(const Peers& peers, const std::string& words);

void barrier(const Peers& peers);

// Agrees on an outcome: `error` is empty where all went well.  Returns the error of the first rank that has
// one, as "rank 2: ...", or nothing, the same on every rank.  Collective.
std::string first_error(const Peers& peers, const std::string& error);

// Throws std::invalid_argument, on every rank, unless all gave the same `words`; names `what` and the first
// rank that differs.  Collective.
void require_same(const Peers& peers, const std::string& what, const std::string& words);

}  // namespace ferry::parallel
