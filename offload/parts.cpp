#include "offload/parts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ferry::offload {

namespace {

constexpr double kClearlyFaster = 1.1;  // less may be chance, and would gain little
constexpr double kGrains = 100;

}  // namespace

std::vector<double> parts_of_links(const std::vector<double>& gbps) {
  // Not-a-number fails this too.
  if (!std::all_of(gbps.begin(), gbps.end(), [](double each) { return each > 0 && std::isfinite(each); })) {
    throw std::invalid_argument(fmt::format("parts of links of {} GB/s", fmt::join(gbps, ", ")));
  }
  if (gbps.empty()) return {};
  const auto [slowest, fastest] = std::minmax_element(gbps.begin(), gbps.end());
  if (*fastest <= kClearlyFaster * *slowest) return {};
  std::vector<double> parts;
  for (const double each : gbps) parts.push_back(std::round(kGrains * each / *fastest));
  return parts;
}

}  // namespace ferry::offload
