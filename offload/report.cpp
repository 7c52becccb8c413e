#include "offload/report.h"

namespace ferry::offload {

namespace {

// Means per pass over the passes since `before`.
void take_off_means(std::vector<double>& means, const std::vector<double>& before, double passes_before,
                    double passes) {
  if (passes <= passes_before) means.assign(means.size(), 0);
  if (passes <= passes_before || before.size() != means.size()) return;
  for (std::size_t i = 0; i < means.size(); ++i) {
    means[i] = (means[i] * passes - before[i] * passes_before) / (passes - passes_before);
  }
}

}  // namespace

Report since(const Report& before, Report now) {
  take_off_means(now.exposed_ms_by_block, before.exposed_ms_by_block,
                 static_cast<double>(before.exposed_ms_by_pass.size()),
                 static_cast<double>(now.exposed_ms_by_pass.size()));
  const auto earlier = static_cast<std::ptrdiff_t>(before.exposed_ms_by_pass.size());
  now.exposed_ms_by_pass.erase(now.exposed_ms_by_pass.begin(), now.exposed_ms_by_pass.begin() + earlier);
  now.passes -= before.passes;
  now.copied_once_bytes -= before.copied_once_bytes;
  now.ferried_bytes -= before.ferried_bytes;
  now.gathered_bytes -= before.gathered_bytes;
  now.skipped_bytes -= before.skipped_bytes;
  now.copy_ms -= before.copy_ms;
  now.exposed_copy_ms -= before.exposed_copy_ms;
  now.promotions -= before.promotions;
  now.demotions -= before.demotions;
  return now;
}

}  // namespace ferry::offload
