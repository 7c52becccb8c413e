#include "offload/transport/shares.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

namespace ferry::offload {

namespace {

void check(const Sharing& sharing, int ranks) {
  const auto& [share, weights] = sharing;
  // Also rejects NaN.
  bool good = share >= 0 && share <= 1;
  if (!weights.empty()) {
    const auto negative = [](double weight) { return !(weight >= 0 && std::isfinite(weight)); };
    good = good && weights.size() == static_cast<std::size_t>(ranks) &&
           std::none_of(weights.begin(), weights.end(), negative) &&
           std::accumulate(weights.begin(), weights.end(), 0.0) > 0;
  }
  if (good) return;
  std::string text = fmt::format("copies of {} ranks: share {}, weights", ranks, share);
  for (const double weight : weights) text += fmt::format(" {}", weight);
  throw std::invalid_argument(text);
}

// Part of `rank` as a fraction of 1.
double part_of(const Sharing& sharing, int rank, int ranks) {
  if (sharing.weights.empty()) return 1.0 / ranks;
  return sharing.weights[static_cast<std::size_t>(rank)] /
         std::accumulate(sharing.weights.begin(), sharing.weights.end(), 0.0);
}

std::size_t round_to(double bytes, std::size_t multiple) {
  return static_cast<std::size_t>(std::llround(bytes / static_cast<double>(multiple))) * multiple;
}

// Start offsets of the parts, and the end of the last.
std::vector<std::size_t> bounds_of(std::size_t end, const Sharing& sharing, int ranks) {
  std::vector<std::size_t> bounds = {0};
  const auto count = static_cast<std::size_t>(ranks);
  double before = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    before += part_of(sharing, rank, ranks);
    bounds.push_back(sharing.weights.empty()
                         ? round_up(end, count * kTensorAlign) / count * bounds.size()
                         : std::min(end, round_to(before * static_cast<double>(end), kTensorAlign)));
  }
  if (!sharing.weights.empty()) bounds.back() = end;
  return bounds;
}

}  // namespace

Division divide(const std::vector<Range>& wanted, const Sharing& sharing, int ranks) {
  check(sharing, ranks);
  const std::size_t end =
      wanted.empty() ? 0 : round_up(wanted.back().offset + wanted.back().bytes, kTensorAlign);
  const std::vector<std::size_t> bounds = bounds_of(end, sharing, ranks);
  Division division;
  for (std::size_t r = 0; r + 1 < bounds.size(); ++r) {
    const std::size_t bytes = bounds[r + 1] - bounds[r];
    const std::size_t shared =
        std::min(bytes, round_to(sharing.share * static_cast<double>(bytes), kTensorAlign));
    division.shared.push_back({.offset = bounds[r], .bytes = shared});
    division.rests.push_back({.offset = bounds[r] + shared, .bytes = bytes - shared});
  }
  return division;
}

double copied_share(const Sharing& sharing, int rank, int ranks) {
  return 1 - sharing.share * (1 - part_of(sharing, rank, ranks));
}

std::vector<Range> rests_of(const std::vector<Range>& wanted, const Division& division, int rank) {
  std::vector<Range> rests;
  const std::size_t ranks = division.rests.size();
  for (std::size_t i = 0; i < ranks; ++i) {
    const Range& rest = division.rests[(static_cast<std::size_t>(rank) + i) % ranks];
    for (const Range& each : clip(wanted, rest.offset, rest.offset + rest.bytes)) rests.push_back(each);
  }
  return rests;
}

std::vector<Range> slices_of(const Range& range, std::size_t slice_bytes, std::size_t most) {
  if (most == 0 && range.bytes > 0) throw std::invalid_argument("slices_of: no slice for a range");
  const std::size_t count = std::min(most, (range.bytes + slice_bytes - 1) / slice_bytes);
  if (count == 0) return {};
  const std::size_t each = round_up(range.bytes, count * kTensorAlign) / count;
  std::vector<Range> slices;
  for (std::size_t done = 0; done < range.bytes; done += each) {
    slices.push_back({.offset = range.offset + done, .bytes = std::min(each, range.bytes - done)});
  }
  return slices;
}

}  // namespace ferry::offload
