// How large the pieces of an all-to-all are.
//
// A rank's pieces lie one behind the other, in the order of the ranks that they go to or come from.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace ferry::parallel {

class Pieces {
 public:
  // Every piece has `bytes`.
  Pieces(std::size_t bytes) : each_(bytes) {}
  // What goes to rank r has bytes[r], whoever sends it.
  static Pieces by_receiver(std::vector<std::size_t> bytes) { return {std::move(bytes), true}; }
  // What comes from rank r has bytes[r], whoever gets it.
  static Pieces by_sender(std::vector<std::size_t> bytes) { return {std::move(bytes), false}; }

  bool even() const { return bytes_.empty(); }
  std::size_t largest() const;
  std::size_t bytes(int from, int to) const;
  // Where the piece begins among those that `from` sends, and among those that `to` gets.
  std::size_t place_sent(int from, int to) const;
  std::size_t place_received(int from, int to) const;
  // Throws std::invalid_argument unless these are pieces of `ranks` ranks.
  void check(int ranks) const;

 private:
  Pieces(std::vector<std::size_t> bytes, bool by_receiver);

  std::size_t each_ = 0;
  std::vector<std::size_t> bytes_;  // empty: all have each_
  bool by_receiver_ = true;
};

}  // namespace ferry::parallel
