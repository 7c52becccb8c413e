// The places of the ranks of one node, and who speaks when one of them fails.
#pragma once

#include <memory>
#include <vector>

#include "parallel/watch/place.h"

namespace ferry::parallel {

class Board {
 public:
  static std::size_t bytes(int ranks);

  // `memory` has bytes(ranks) zeroed bytes, shared by the ranks of the node, and is released with the board.
  // `ranks` are the world ranks, by index on the node.
  Board(std::shared_ptr<void> memory, std::vector<int> ranks);
  // A board of one rank, in memory of its own.
  static Board alone(int rank);

  int size() const { return static_cast<int>(ranks_.size()); }
  int rank(int index) const { return ranks_.at(static_cast<std::size_t>(index)); }
  Place& place(int index) const;

  // Enters this process at its place, and then, once all have entered, notes which of them it can see in
  // /proc: others (in another process namespace) are never taken for gone.
  void enter(int index) const;
  void look_around();

  // A copy of a place; `gone` is looked up.
  Seen seen(int index) const;

  // The job goes down with exit code `code`, not 0.  Returns true for the first caller of the node, which
  // reports the reason.
  bool claim(int code) const;
  // The code of the first claim; 0: there was none.
  int down() const;

 private:
  struct Head;
  Head& head() const { return *static_cast<Head*>(memory_.get()); }

  std::shared_ptr<void> memory_;
  std::vector<int> ranks_;
  std::vector<bool> visible_;
};

}  // namespace ferry::parallel
