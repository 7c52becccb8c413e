#include "worker/stages/device_marks.h"

#include <optional>
#include <utility>

namespace ferry::worker {

DeviceMarks::DeviceMarks(Device& device, parallel::Ticks& ticks, std::size_t count)
    : device_(device), ticks_(ticks) {
  for (std::size_t i = 0; i < count; ++i) unused_.push_back(device_.make_event(EventKind::Order));
}

void DeviceMarks::put(const parallel::Where& where) {
  if (unused_.empty()) unused_.push_back(device_.make_event(EventKind::Order));
  device_.compute().record(*unused_.back());
  ahead_.push_back({where, std::move(unused_.back())});
  unused_.pop_back();
}

bool DeviceMarks::look() {
  std::optional<parallel::Where> last;
  for (; !ahead_.empty() && ahead_.front().passed->done(); ahead_.pop_front()) {
    last = ahead_.front().where;
    unused_.push_back(std::move(ahead_.front().passed));
  }
  if (last) ticks_.note(*last);
  return last.has_value();
}

}  // namespace ferry::worker
