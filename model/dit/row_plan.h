// Splits the attention of a rank's heads into parts, with several ranks, so that exchanges hide behind
// computation.
//
// The queries of all tokens are stored in the order of parallel/pieces.h's own_last: those of other ranks,
// which were received, then the rank's own, which are local.  The results of the others must be sent back.
// So
//
//   first    the last rows of its own, while the others' are in transit
//   middle   the others' and the first rows of its own
//   last     the rest of its own, while the others' results are in transit
//
//   [ others' rows ......................................| own rows ............................ ]
//   [ middle ......................................................)[ last .......)[ first .......]
//
// A GPU computes a fixed number of query tiles at once, and the last round of each part may be nearly empty:
// the parts are cut so that the total of rounds does not grow.
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
  std::int64_t rows = 0;   // all tokens, padding included
  std::int64_t own = 0;    // this rank's tokens
  std::int64_t heads = 0;  // this rank's heads
  std::int64_t tiles = 0;  // kernels::tiles_at_once
};

// first + middle + last = rows, first + last <= own.  If tiles is 0, first and last are a quarter of own
// each.
RowPlan plan_rows(const RowCase& row_case);

}  // namespace ferry::model
