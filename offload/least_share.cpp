#include "offload/least_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace ferry::offload {

namespace {

// Of the computing that copies may take: links are not as fast at every moment as when they were measured.
constexpr double kMost = 0.9;

void check(const ShareFigures& f) {
  // Not-a-number fails this too.
  if (f.together_gbps > 0 && f.gather_gbps > 0 && f.compute_ms >= 0 && f.ranks > 0) return;
  throw std::invalid_argument(
      fmt::format("share of {} ranks: links {} GB/s together, gather {} GB/s, {} ms of computing", f.ranks,
                  f.together_gbps, f.gather_gbps, f.compute_ms));
}

}  // namespace

LeastShare least_share(const ShareFigures& figures) {
  check(figures);
  const auto bytes = static_cast<double>(figures.block_bytes);
  const double ranks = figures.ranks;
  const double link_ms = bytes / figures.together_gbps * 1e-6;
  const double spared_ms = link_ms * (1 - 1 / ranks);
  const double gather_ms = bytes / figures.gather_gbps * 1e-6 + (figures.in_slices ? 0 : link_ms / ranks);
  const auto of = [&](double share) {
    const double ms = std::max(link_ms - share * spared_ms, share * gather_ms);
    return LeastShare{.share = share, .block_ms = ms, .hides = ms <= figures.compute_ms};
  };
  const double room_ms = kMost * figures.compute_ms;
  if (link_ms <= room_ms || spared_ms == 0) return of(0);
  const double least = (link_ms - room_ms) / spared_ms;
  if (least <= 1 && least * gather_ms <= room_ms) return of(least);
  return of(std::min(1.0, link_ms / (spared_ms + gather_ms)));
}

}  // namespace ferry::offload
