#include "bench/link_speed.h"

#include <vector>

#include "base/clock.h"
#include "bench/decode.h"
#include "offload/transport/link.h"

namespace ferry::bench {

namespace {

constexpr int kSamples = 5;

}  // namespace

double link_gbps(const offload::NodeArena& arena, Device& device) {
  const offload::Blob& blob = offload::largest_blob(arena.layout());
  const std::size_t bytes = blob.bytes;
  const DeviceMemory target = device.allocate(bytes);
  const auto stream = device.make_stream("ferry-link", Priority::High);
  offload::Link link(0, offload::chunk_bytes(device.type()));
  std::vector<double> seconds;
  for (int i = 0; i <= kSamples; ++i) {
    const Clock::time_point begin = Clock::now();
    link.copy(*stream, target.data(), arena.at(blob), bytes);
    stream->synchronize();
    if (i > 0) seconds.push_back(seconds_since(begin));  // the first run touches the target
  }
  return 1e-9 * static_cast<double>(bytes) / median(seconds);
}

}  // namespace ferry::bench
