#include "bench/probe.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "bench/decode.h"

namespace ferry::bench {

namespace {

constexpr double kBudgetSeconds = 1.5;  // of one figure, about
constexpr int kFewest = 2;

double timed(const Probe& probe, const std::function<void()>& work) {
  probe.device.compute().synchronize();
  if (probe.meet) probe.meet();
  const Clock::time_point begin = Clock::now();
  work();
  probe.device.compute().synchronize();
  return seconds_since(begin);
}

}  // namespace

double seconds_of(const Probe& probe, const std::function<void()>& work) {
  const auto slowest = [&](double own) { return probe.slowest ? probe.slowest(own) : own; };
  const double first = slowest(timed(probe, work));
  const int samples =
      first * probe.samples > kBudgetSeconds ? std::min(kFewest, probe.samples) : probe.samples;
  std::vector<double> seconds;
  for (int i = 0; i < samples; ++i) seconds.push_back(timed(probe, work));
  return slowest(median(seconds));
}

}  // namespace ferry::bench
