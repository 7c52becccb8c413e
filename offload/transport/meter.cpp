#include "offload/transport/meter.h"

namespace ferry::offload {

namespace {

constexpr int kPasses = 3;  // passes for which spans are kept

}  // namespace

Meter::Meter(Device& device, int period)
    : period_(period), copies_(device, 1, kPasses * period), waits_(device, period, kPasses * period) {
  copies_.begin_pass();
}

void Meter::wait_begins(std::int64_t position, Stream& compute) {
  const auto place = static_cast<int>(position % period_);
  if (place == 0) waits_.begin_pass();
  waits_.begins(place, compute);
}

double Meter::last_exposed_ms() {
  const StreamTimes times = exposed();
  return times.ms_by_pass.empty() ? 0 : times.ms_by_pass.back();
}

}  // namespace ferry::offload
