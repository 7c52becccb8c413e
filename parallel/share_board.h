// Makes the board of a node's ranks.
#pragma once

#include "parallel/peers.h"
#include "parallel/watch/board.h"

namespace ferry::parallel {

// `node` are the ranks of this node, `rank` this one's number in the world.  This process has entered its
// place when it returns.  Where memory cannot be shared, each rank gets a board of its own, and the log says
// so.  Collective over the node.
Board share_board(const Peers& node, int rank);

// A rank's index on that board; -1: it is on another node.
int index_on(const Board& board, int rank);

}  // namespace ferry::parallel
