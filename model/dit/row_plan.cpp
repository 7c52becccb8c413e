#include "model/dit/row_plan.h"

#include <algorithm>

#include "model/kernels/attention.h"

namespace ferry::model {

namespace {

constexpr std::int64_t kMostRounds = 3;  // of the last part

std::int64_t rounds(const RowCase& of, std::int64_t rows) {
  const std::int64_t tiles = (rows + kernels::kTileQueries - 1) / kernels::kTileQueries * of.heads;
  return (tiles + of.tiles - 1) / of.tiles;
}

// As many rows as fill so many rounds.
std::int64_t rows_of(const RowCase& of, std::int64_t round_count) {
  return std::max<std::int64_t>(1, of.tiles * round_count / of.heads) * kernels::kTileQueries;
}

RowPlan with(const RowCase& of, std::int64_t first, std::int64_t last) {
  return {.middle = of.rows - first - last, .last = last, .first = first};
}

}  // namespace

// One round takes longer than a trip: over NVLink by half at 40 heads on two ranks, and by more at fewer.
RowPlan plan_rows(const RowCase& of) {
  if (of.tiles == 0) return with(of, of.own / 4, of.own / 4);
  const std::int64_t first = std::min(rows_of(of, 1), of.own / 2);
  RowPlan best;
  std::int64_t least = 0;
  for (std::int64_t count = 1; count <= kMostRounds; ++count) {
    const RowPlan plan = with(of, first, std::min(rows_of(of, count), of.own - first));
    const std::int64_t taken = rounds(of, plan.first) + rounds(of, plan.middle) + rounds(of, plan.last);
    if (least != 0 && taken >= least) continue;
    best = plan;
    least = taken;
  }
  return best;
}

}  // namespace ferry::model
