#include "offload/link.h"

#include <algorithm>
#include <thread>

namespace ferry::offload {

std::size_t chunk_bytes(DeviceType device) {
  return device == DeviceType::Cuda ? std::size_t{16} << 20 : std::size_t{4} << 20;
}

void Link::copy(Stream& stream, void* dst, const void* src, std::size_t bytes) {
  copied_bytes_ += bytes;
  if (gbps_ > 0) start_clock(stream);
  for (std::size_t done = 0; done < bytes; done += chunk_bytes_) {
    const std::size_t part = std::min(chunk_bytes_, bytes - done);
    stream.copy(static_cast<std::byte*>(dst) + done, static_cast<const std::byte*>(src) + done, part);
    if (gbps_ > 0) sleep_off(stream, part);
  }
}

// An idle link saves nothing up for later.
void Link::start_clock(Stream& stream) {
  stream.call([this] { free_at_ = std::max(free_at_, Clock::now()); });
}

void Link::sleep_off(Stream& stream, std::size_t bytes) {
  const Clock::duration span = as_duration(static_cast<double>(bytes) / (gbps_ * 1e9));
  stream.call([this, span] {
    free_at_ += span;
    std::this_thread::sleep_until(free_at_);
  });
}

}  // namespace ferry::offload
