// Sizes of the pieces of an all-to-all, and their order in a rank's buffer, by the rank that each goes to or
// comes from.
//   rank 1 of 4                 [ 0 | 1 | 2 | 3 ]
//   own_last, the equal pieces  [ 2 | 3 | 0 | 1 ]   the other side stays in rank order
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace ferry::parallel {

class Pieces {
 public:
  // All pieces have the same size.
  Pieces(std::size_t bytes) : each_(bytes) {}
  // A piece to rank r has bytes[r], whoever sends it.
  static Pieces by_receiver(std::vector<std::size_t> bytes) { return {std::move(bytes), true}; }
  // A piece from rank r has bytes[r], whoever receives it.
  static Pieces by_sender(std::vector<std::size_t> bytes) { return {std::move(bytes), false}; }

  // Returns these pieces of `ranks` ranks reordered so that a rank's own comes last and those of the others
  // are contiguous. The receiver's side is reordered, or the sender's for pieces made by_sender.
  Pieces own_last(int ranks) const;
  // Returns these pieces without each rank's piece to itself, which stays where it is.
  Pieces without_own() const;

  bool even() const { return bytes_.empty(); }
  // Even, complete, and in the order of the ranks.
  bool plain() const { return even() && ring_ == 0 && moves_own_; }
  bool moves_own() const { return moves_own_; }
  std::size_t largest() const;
  std::size_t bytes(int from, int to) const;
  // Offset in bytes of the piece in the buffer that `from` sends, and in the one that `to` receives.
  std::size_t place_sent(int from, int to) const;
  std::size_t place_received(int from, int to) const;
  // Throws std::invalid_argument unless these pieces are for `ranks` ranks.
  void check(int ranks) const;

 private:
  Pieces(std::vector<std::size_t> bytes, bool by_receiver);
  // Index, on `self`'s side, of the piece shared with `other`, where pieces are equal.
  std::size_t slot(int other, int self) const;

  std::size_t each_ = 0;
  std::vector<std::size_t> bytes_;  // empty: all have each_
  bool by_receiver_ = true;
  int ring_ = 0;  // own_last: number of ranks; 0: rank order
  bool moves_own_ = true;
};

}  // namespace ferry::parallel
