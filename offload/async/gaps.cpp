#include "offload/async/gaps.h"

#include <algorithm>

namespace ferry::offload {

namespace {

constexpr double kTooShort = 0.1;  // fraction of the longest gap

}  // namespace

std::vector<double> shares_of(const std::vector<double>& gaps_ms) {
  if (gaps_ms.empty()) return {};
  const double longest = *std::max_element(gaps_ms.begin(), gaps_ms.end());
  std::vector<double> shares;
  double sum = 0;
  for (const double gap : gaps_ms) {
    shares.push_back(gap < kTooShort * longest ? 0 : std::max(gap, 1e-6));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

Gaps::Gaps(Device& device) {
  for (int i = 0; i <= kMost; ++i) begins_.push_back(device.make_event(EventKind::Timed));
  for (int i = 0; i < kMost; ++i) ends_.push_back(device.make_event(EventKind::Timed));
}

void Gaps::begin_block() {
  of_last_block_ = exchanges_;
  exchanges_ = 0;
  if (sampling_ == Sampling::Done) read();
  if (sampling_ == Sampling::Running) {
    sampled_ = std::min(of_last_block_, kMost);
    sampling_ = Sampling::Closing;
  } else if (sampling_ == Sampling::Idle) {
    sampling_ = Sampling::Running;
  }
}

void Gaps::before(Stream& exchange_stream) {
  if (sampling_ == Sampling::Running && exchanges_ < kMost) {
    exchange_stream.record(*begins_[static_cast<std::size_t>(exchanges_)]);
  } else if (sampling_ == Sampling::Closing) {
    exchange_stream.record(*begins_[static_cast<std::size_t>(sampled_)]);
    sampling_ = Sampling::Done;
  }
}

void Gaps::after(Stream& exchange_stream) {
  if (sampling_ == Sampling::Running && exchanges_ < kMost) {
    exchange_stream.record(*ends_[static_cast<std::size_t>(exchanges_)]);
  }
  ++exchanges_;
}

void Gaps::read() {
  if (!begins_[static_cast<std::size_t>(sampled_)]->done()) return;
  std::vector<double> gaps;
  for (int i = 0; i < sampled_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    gaps.push_back(begins_[at + 1]->ms_since(*ends_[at]));
  }
  shares_ = shares_of(gaps);
  sampling_ = Sampling::Idle;
}

double Gaps::share() const {
  const auto gap = static_cast<std::size_t>(exchanges_ - 1);
  if (gap < shares_.size()) return shares_[gap];
  return exchanges_ == of_last_block_ ? 1.0 : 0.0;
}

}  // namespace ferry::offload
