#include "offload/transport/link.h"

#include <algorithm>
#include <thread>

#include "offload/arena/pin_order.h"

namespace ferry::offload {

namespace {

// A chunk less late than this was delayed by the scheduler; the link was not idle.
constexpr Clock::duration kOversleep = std::chrono::microseconds(500);

}  // namespace

std::size_t chunk_bytes(DeviceType device) {
  return device == DeviceType::Cuda ? std::size_t{16} << 20 : std::size_t{4} << 20;
}

void Link::copy(Stream& stream, void* dst, const void* src, std::size_t bytes, int block) {
  copied_bytes_ += bytes;
  const TraceScope whole(guard_ == nullptr ? trace_ : nullptr, Lane::Copy, "copy", stream, block);
  const auto* from = static_cast<const std::byte*>(src);
  std::size_t part = 0;
  for (std::size_t done = 0; done < bytes; done += part) {
    part = std::min(chunk_bytes_, bytes - done);
    if (borders_ != nullptr) part = borders_->within(from + done, part);
    if (guard_ != nullptr) guard_->before_chunk(stream);
    {
      const TraceScope chunk(guard_ == nullptr ? nullptr : trace_, Lane::Copy, "copy", stream, block);
      if (gbps_ > 0) start_clock(stream);
      stream.copy(static_cast<std::byte*>(dst) + done, from + done, part);
      if (gbps_ > 0) sleep_off(stream, part);
    }
    if (guard_ != nullptr) guard_->after_chunk(stream);
  }
}

void Link::start_clock(Stream& stream) {
  stream.call([this] {
    const Clock::time_point now = Clock::now();
    if (now - free_at_ > kOversleep) free_at_ = now;
  });
}

void Link::sleep_off(Stream& stream, std::size_t bytes) {
  const Clock::duration span = as_duration(static_cast<double>(bytes) / (gbps_ * 1e9));
  stream.call([this, span] {
    free_at_ += span;
    std::this_thread::sleep_until(free_at_);
  });
}

}  // namespace ferry::offload
