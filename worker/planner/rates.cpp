#include "worker/planner/rates.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace ferry::worker {
namespace {

double log_distance(std::int64_t a, std::int64_t b) {
  return std::abs(std::log(static_cast<double>(a)) - std::log(static_cast<double>(b)));
}

struct Point {
  std::int64_t rows = 0;
  Rate rate;
};

// Linear in the logarithm of the rows, constant beyond the ends.
Rate interpolated(std::vector<Point> points, std::int64_t rows) {
  std::ranges::sort(points, {}, &Point::rows);
  const auto after = std::ranges::lower_bound(points, rows, {}, &Point::rows);
  if (after == points.begin()) return points.front().rate;
  if (after == points.end()) return points.back().rate;
  const Point& low = *(after - 1);
  const Point& high = *after;
  const double part = log_distance(rows, low.rows) / log_distance(high.rows, low.rows);
  return {.value = low.rate.value + part * (high.rate.value - low.rate.value),
          .source = std::max(low.rate.source, high.rate.source)};
}

}  // namespace

const RankRates& MachineRates::of(int ranks) const {
  const RankRates* best = &by_ranks.front();
  for (const RankRates& each : by_ranks) {
    if (each.ranks <= ranks) best = &each;
  }
  return *best;
}

Rate linear_rate(const RankRates& rates, std::int64_t rows, std::int64_t in, std::int64_t out) {
  const auto distance = [&](const LinearRate& each) {
    return log_distance(each.in, in) + log_distance(each.out, out);
  };
  const LinearRate nearest = std::ranges::min(rates.linear, {}, distance);
  std::vector<Point> points;
  for (const LinearRate& each : rates.linear) {
    if (each.in == nearest.in && each.out == nearest.out) points.push_back({each.rows, each.tflops});
  }
  return interpolated(points, rows);
}

Rate attention_rate(const RankRates& rates, std::int64_t queries, std::int64_t keys, std::int64_t heads) {
  const auto distance = [&](const AttentionRate& each) {
    return log_distance(each.keys, keys) + log_distance(each.heads, heads) / 4;
  };
  const AttentionRate nearest = std::ranges::min(rates.attention, {}, distance);
  std::vector<Point> points;
  for (const AttentionRate& each : rates.attention) {
    if (each.keys == nearest.keys && each.heads == nearest.heads)
      points.push_back({each.queries, each.tflops});
  }
  return interpolated(points, queries);
}

}  // namespace ferry::worker
