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

Pieces Pieces::own_last(int ranks) const {
  Pieces pieces = *this;
  pieces.ring_ = ranks;
  return pieces;
}

Pieces Pieces::without_own() const {
  Pieces pieces = *this;
  pieces.moves_own_ = false;
  return pieces;
}

std::size_t Pieces::slot(int other, int self) const {
  return static_cast<std::size_t>(ring_ == 0 ? other : (other + 2 * ring_ - self - 1) % ring_);
}

std::size_t Pieces::largest() const {
  return even() ? each_ : *std::max_element(bytes_.begin(), bytes_.end());
}

std::size_t Pieces::bytes(int from, int to) const {
  return even() ? each_ : bytes_[static_cast<std::size_t>(by_receiver_ ? to : from)];
}

std::size_t Pieces::place_sent(int from, int to) const {
  if (!by_receiver_) return slot(to, from) * bytes(from, to);
  if (even()) return static_cast<std::size_t>(to) * each_;
  return std::accumulate(bytes_.begin(), bytes_.begin() + to, std::size_t{0});
}

std::size_t Pieces::place_received(int from, int to) const {
  if (by_receiver_) return slot(from, to) * bytes(from, to);
  if (even()) return static_cast<std::size_t>(from) * each_;
  return std::accumulate(bytes_.begin(), bytes_.begin() + from, std::size_t{0});
}

void Pieces::check(int ranks) const {
  const bool fits = even() || bytes_.size() == static_cast<std::size_t>(ranks);
  if (fits && (ring_ == 0 || ring_ == ranks)) return;
  throw std::invalid_argument(fmt::format("Pieces of {} ranks in a group of {}",
                                          fits ? static_cast<std::size_t>(ring_) : bytes_.size(), ranks));
}

}  // namespace ferry::parallel
