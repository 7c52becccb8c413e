#include "offload/transport/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ferry::offload {

namespace {

constexpr double kClearlyFaster =
    1.25;  // smaller ratios may be noise: four H200 gave 35.2 to 40 GB/s from test to test
constexpr double kGrains = 100;

}  // namespace

std::vector<double> parts_of_links(const std::vector<double>& gbps) {
  // Also rejects NaN.
  for (const double each : gbps) {
    if (!(each > 0) || !std::isfinite(each)) {
      throw std::invalid_argument(fmt::format("parts of links, one of {} GB/s", each));
    }
  }
  if (gbps.empty()) return {};
  const auto [slowest, fastest] = std::minmax_element(gbps.begin(), gbps.end());
  if (*fastest <= kClearlyFaster * *slowest) return {};
  std::vector<double> parts;
  for (const double each : gbps) parts.push_back(std::round(kGrains * each / *fastest));
  return parts;
}

}  // namespace ferry::offload
