// The pieces of an all-to-all: how large they are, and their order in a rank's buffer, by the rank that each
// goes to or comes from.
//   rank 1 of 4                 [ 0 | 1 | 2 | 3 ]
//   own_last, the equal pieces  [ 2 | 3 | 0 | 1 ]   the other side's stay in the order of the ranks
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

  // The same of `ranks` ranks in the other order, so that all that comes from or goes to others is
  // contiguous. Of even pieces it is the receiver's side, of those made by_sender the sender's.
  Pieces own_last(int ranks) const;
  // The same without each rank's piece to itself, whose places stay as they are.
  Pieces without_own() const;

  bool even() const { return bytes_.empty(); }
  // Even, complete, and in the order of the ranks.
  bool plain() const { return even() && ring_ == 0 && moves_own_; }
  bool moves_own() const { return moves_own_; }
  std::size_t largest() const;
  std::size_t bytes(int from, int to) const;
  // Where the piece begins among those that `from` sends, and among those that `to` gets.
  std::size_t place_sent(int from, int to) const;
  std::size_t place_received(int from, int to) const;
  // Throws std::invalid_argument unless these are pieces of `ranks` ranks.
  void check(int ranks) const;

 private:
  Pieces(std::vector<std::size_t> bytes, bool by_receiver);
  // Where on `self`'s side the piece shared with `other` is among equal ones.
  std::size_t slot(int other, int self) const;

  std::size_t each_ = 0;
  std::vector<std::size_t> bytes_;  // empty: all have each_
  bool by_receiver_ = true;
  int ring_ = 0;  // own_last: of so many ranks
  bool moves_own_ = true;
};

}  // namespace ferry::parallel
