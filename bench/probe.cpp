#include "bench/probe.h"

#include <vector>

#include "base/clock.h"
#include "bench/decode.h"

namespace ferry::bench {

double own_seconds_of(const Probe& probe, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i <= probe.samples; ++i) {
    probe.device.compute().synchronize();
    if (probe.meet) probe.meet();
    const Clock::time_point begin = Clock::now();
    work();
    probe.device.compute().synchronize();
    if (i > 0) seconds.push_back(seconds_since(begin));
  }
  return median(seconds);
}

double seconds_of(const Probe& probe, const std::function<void()>& work) {
  const double own = own_seconds_of(probe, work);
  return probe.slowest ? probe.slowest(own) : own;
}

}  // namespace ferry::bench
