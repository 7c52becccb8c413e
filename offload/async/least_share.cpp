#include "offload/async/least_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace ferry::offload {

namespace {

// Fraction of the computation that copies may take: links vary around their measured speed.
constexpr double kMost = 0.9;

void check(const ShareFigures& f, double compute_ms) {
  // Also rejects NaN.
  if (f.together_gbps > 0 && f.gather_gbps > 0 && f.sum_gbps >= 0 && compute_ms >= 0 && f.ranks > 0) return;
  throw std::invalid_argument(
      fmt::format("share of {} ranks: links {} GB/s together, in all {}, gather {} GB/s, {} ms of computing",
                  f.ranks, f.together_gbps, f.sum_gbps, f.gather_gbps, compute_ms));
}

// Times of a whole block.
struct Whole {
  double link_ms = 0;
  double spared_ms = 0;  // saved of link_ms if all is shared
  double gather_ms = 0;  // after the copies, if it is not concurrent
};

Whole whole_of(const ShareFigures& figures) {
  const auto bytes = static_cast<double>(figures.block_bytes);
  const double link_ms = bytes / figures.together_gbps * 1e-6;
  const double part_ms = figures.sum_gbps > 0 ? bytes / figures.sum_gbps * 1e-6 : link_ms / figures.ranks;
  return {.link_ms = link_ms,
          .spared_ms = link_ms - part_ms,
          .gather_ms = bytes / figures.gather_gbps * 1e-6 + (figures.in_slices ? 0 : part_ms)};
}

}  // namespace

double block_ms(const ShareFigures& figures, double share) {
  check(figures, 0);
  const Whole whole = whole_of(figures);
  return std::max(whole.link_ms - share * whole.spared_ms, share * whole.gather_ms);
}

double least_share(const ShareFigures& figures, double compute_ms) {
  check(figures, compute_ms);
  const Whole whole = whole_of(figures);
  const double room_ms = kMost * compute_ms;
  if (whole.link_ms <= room_ms || whole.spared_ms == 0) return 0;
  const double least = (whole.link_ms - room_ms) / whole.spared_ms;
  if (least <= 1 && least * whole.gather_ms <= room_ms) return least;
  return std::min(1.0, whole.link_ms / (whole.spared_ms + whole.gather_ms));
}

}  // namespace ferry::offload
