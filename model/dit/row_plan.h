// In which parts a rank of several attends to its heads, so that what travels hides behind what is computed.
//
// The queries of all tokens are at hand in the order of parallel/pieces.h's own_last: those of other ranks,
// which travelled, and last the rank's own, which need not.  The results of the others must travel back.  So
//
//   first    the last rows of its own, while the others' are on their way
//   middle   the others' and the first rows of its own
//   last     the rest of its own, while the others' results are on their way
//
//   [ others' rows ......................................| own rows ............................ ]
//   [ middle ......................................................)[ last .......)[ first .......]
//
// A GPU computes so many tiles of queries at once, and each part ends with a round that may be nearly empty:
// the parts are cut so that there are no more rounds than it takes.
#pragma once

#include <cstdint>

namespace ferry::model {

struct RowPlan {
  std::int64_t middle = 0;  // rows
  std::int64_t last = 0;
  std::int64_t first = 0;

  friend bool operator==(const RowPlan&, const RowPlan&) = default;
};

struct RowCase {
  std::int64_t rows = 0;   // of all tokens, padding included
  std::int64_t own = 0;    // of this rank among them
  std::int64_t heads = 0;  // of this rank
  std::int64_t tiles = 0;  // kernels::tiles_at_once
};

// first + middle + last = rows, first + last <= own.  Without tiles a quarter of its own each is first and
// last.
RowPlan plan_rows(const RowCase& row_case);

}  // namespace ferry::model
