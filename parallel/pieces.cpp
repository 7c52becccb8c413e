#include "parallel/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace ferry::parallel {

Pieces::Pieces(std::vector<std::size_t> bytes, bool by_receiver)
    : bytes_(std::move(bytes)), by_receiver_(by_receiver) {
  if (bytes_.empty()) throw std::invalid_argument("Pieces: of no rank");
  if (std::adjacent_find(bytes_.begin(), bytes_.end(), std::not_equal_to<>()) != bytes_.end()) return;
  each_ = bytes_.front();
  bytes_.clear();
}

std::size_t Pieces::largest() const {
  return even() ? each_ : *std::max_element(bytes_.begin(), bytes_.end());
}

std::size_t Pieces::bytes(int from, int to) const {
  return even() ? each_ : bytes_[static_cast<std::size_t>(by_receiver_ ? to : from)];
}

std::size_t Pieces::place_sent(int from, int to) const {
  if (even() || !by_receiver_) return static_cast<std::size_t>(to) * bytes(from, to);
  return std::accumulate(bytes_.begin(), bytes_.begin() + to, std::size_t{0});
}

std::size_t Pieces::place_received(int from, int to) const {
  if (even() || by_receiver_) return static_cast<std::size_t>(from) * bytes(from, to);
  return std::accumulate(bytes_.begin(), bytes_.begin() + from, std::size_t{0});
}

void Pieces::check(int ranks) const {
  if (even() || bytes_.size() == static_cast<std::size_t>(ranks)) return;
  throw std::invalid_argument(fmt::format("Pieces of {} ranks in a group of {}", bytes_.size(), ranks));
}

}  // namespace ferry::parallel
