// Ranks that make a decision together: those of a communicator, or threads in tests.
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
  // Returns every rank's text, in rank order.  Collective over the peers; blocks the host.  May be empty if
  // size is 1.
  std::function<std::vector<std::string>(const std::string&)> all_gather;
  // By which messages call them; empty: their places, from 0.
  std::vector<int> numbers{};
  // Returns once all peers have called it.  Empty: all_gather serves.
  std::function<void()> barrier{};

  int number(std::size_t place) const {
    return numbers.empty() ? static_cast<int>(place) : numbers.at(place);
  }
};

// Peers of a Control, which must outlive them; of all ranks of the session; of this rank's node.
Peers peers_of(Control& ranks);
Peers world_peers(Session& session);
Peers node_peers(Session& session);

// Calls all_gather, or skips it if there is one rank.
std::vector<std::string> all_gather_text(const Peers& peers, const std::string& words);

void barrier(const Peers& peers);

// Agrees on an outcome: `error` is empty on success.  Returns the error of the lowest rank that has one, as
// "rank 2: ...", or an empty string, the same on every rank.  Collective.
std::string first_error(const Peers& peers, const std::string& error);

// Throws std::invalid_argument, on every rank, unless `words` are equal on all; names `what` and the first
// rank that differs.  Collective.
void require_same(const Peers& peers, const std::string& what, const std::string& words);

}  // namespace ferry::parallel
