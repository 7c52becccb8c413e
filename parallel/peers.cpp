#include "parallel/peers.h"

#include <stdexcept>

#include "parallel/mpi/session.h"

namespace ferry::parallel {

Peers peers_of(Control& ranks) {
  return {.rank = ranks.rank(),
          .size = ranks.size(),
          .all_gather = [&ranks](const auto& words) { return ranks.all_gather(words); },
          .numbers = ranks.numbers(),
          .barrier = [&ranks] { ranks.barrier(); }};
}

Peers world_peers(Session& session) { return peers_of(session.world()); }

Peers node_peers(Session& session) { return peers_of(session.node()); }

std::vector<std::string> all_gather_text(const Peers& peers, const std::string& words) {
  if (peers.size == 1) return {words};
  return peers.all_gather(words);
}

void barrier(const Peers& peers) {
  if (peers.size == 1) return;
  if (peers.barrier) return peers.barrier();
  peers.all_gather("");
}

std::string first_error(const Peers& peers, const std::string& error) {
  const std::vector<std::string> errors = all_gather_text(peers, error);
  for (std::size_t r = 0; r < errors.size(); ++r) {
    if (errors[r].empty()) continue;
    return errors.size() == 1 ? errors[r] : "rank " + std::to_string(peers.number(r)) + ": " + errors[r];
  }
  return {};
}

void require_same(const Peers& peers, const std::string& what, const std::string& words) {
  const std::vector<std::string> all = all_gather_text(peers, words);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    throw std::invalid_argument("ranks disagree on " + what + ": rank " + std::to_string(peers.number(0)) +
                                " has " + all[0] + ", rank " + std::to_string(peers.number(r)) + " has " +
                                all[r]);
  }
}

}  // namespace ferry::parallel
