#include "offload/arena/peers.h"

#include <stdexcept>

namespace ferry::offload {

std::vector<std::string> gather_words(const Peers& peers, const std::string& words) {
  if (peers.size == 1) return {words};
  return peers.all_gather(words);
}

void barrier(const Peers& peers) { gather_words(peers, ""); }

std::string first_error(const Peers& peers, const std::string& error) {
  const std::vector<std::string> errors = gather_words(peers, error);
  for (std::size_t r = 0; r < errors.size(); ++r) {
    if (errors[r].empty()) continue;
    return errors.size() == 1 ? errors[r] : "rank " + std::to_string(r) + ": " + errors[r];
  }
  return {};
}

void require_same(const Peers& peers, const std::string& what, const std::string& words) {
  const std::vector<std::string> all = gather_words(peers, words);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    throw std::invalid_argument("ranks disagree on " + what + ": rank 0 has " + all[0] + ", rank " +
                                std::to_string(r) + " has " + all[r]);
  }
}

}  // namespace ferry::offload
