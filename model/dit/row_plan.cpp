#include "model/dit/row_plan.h"

#include <algorithm>

#include "model/kernels/attention.h"

namespace ferry::model {

namespace {

constexpr std::int64_t kMostRounds = 3;  // in the last part

std::int64_t rounds(const RowCase& row_case, std::int64_t rows) {
  const std::int64_t tiles = (rows + kernels::kTileQueries - 1) / kernels::kTileQueries * row_case.heads;
  return (tiles + row_case.tiles - 1) / row_case.tiles;
}

// Number of rows that fill `round_count` rounds.
std::int64_t rows_of(const RowCase& row_case, std::int64_t round_count) {
  return std::max<std::int64_t>(1, row_case.tiles * round_count / row_case.heads) * kernels::kTileQueries;
}

RowPlan with(const RowCase& row_case, std::int64_t first, std::int64_t last) {
  return {.middle = row_case.rows - first - last, .last = last, .first = first};
}

}  // namespace

// A round takes longer than an exchange: over NVLink by half at 40 heads on two ranks, and by more with fewer
// heads.
RowPlan plan_rows(const RowCase& row_case) {
  if (row_case.tiles == 0) return with(row_case, row_case.own / 4, row_case.own / 4);
  const std::int64_t first = std::min(rows_of(row_case, 1), row_case.own / 2);
  RowPlan best;
  std::int64_t least = 0;
  for (std::int64_t count = 1; count <= kMostRounds; ++count) {
    const RowPlan plan = with(row_case, first, std::min(rows_of(row_case, count), row_case.own - first));
    const std::int64_t taken =
        rounds(row_case, plan.first) + rounds(row_case, plan.middle) + rounds(row_case, plan.last);
    if (least != 0 && taken >= least) continue;
    best = plan;
    least = taken;
  }
  return best;
}

}  // namespace ferry::model
