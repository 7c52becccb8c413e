#include "worker/weights/load_meter.h"

namespace ferry::worker {

void LoadMeter::note(const offload::LoadProgress& load) {
  const int now = load.bytes_total == 0 ? 100 : static_cast<int>(100 * load.bytes_done / load.bytes_total);
  const std::lock_guard lock(mutex_);
  // A step of whoever follows is a sign of life.
  if (done_ < now && progress_ == nullptr) session_.send_heartbeat();
  done_ = now;
  catch_up();
}

void LoadMeter::show(Progress* progress) {
  const std::lock_guard lock(mutex_);
  progress_ = progress;
  shown_ = 0;
  catch_up();
}

void LoadMeter::catch_up() {
  if (progress_ == nullptr) return;
  for (; shown_ < done_; ++shown_) progress_->step();
}

}  // namespace ferry::worker
