#include <vector>

#include "parallel/group.h"

namespace ferry::parallel {

namespace {

bool even_and_adjacent(std::span<const Range> parts) {
  std::size_t end = parts[0].offset;
  for (const Range& part : parts) {
    if (part.bytes != parts[0].bytes || part.offset != end) return false;
    end += part.bytes;
  }
  return true;
}

}  // namespace

// One operation regardless of the number of slices: each would be an NCCL kernel that takes multiprocessors
// from the compute kernels, and waits until some are free.
void Group::all_gather_parts(void* data, std::span<const Range> parts, std::span<const Slice> mine,
                             StreamGate*, Stream& stream) {
  for (const Slice& slice : mine) stream.wait(*slice.there);
  auto* const bytes = static_cast<std::byte*>(data);
  const auto me = static_cast<std::size_t>(rank());
  if (even_and_adjacent(parts)) {
    all_gather(bytes + parts[0].offset, bytes + parts[me].offset, parts[me].bytes, stream);
    return;
  }
  std::vector<Outgoing> sends;
  std::vector<Incoming> receives;
  for (std::size_t peer = 0; peer < parts.size(); ++peer) {
    if (peer == me) continue;
    const int to = static_cast<int>(peer);
    if (parts[me].bytes > 0) sends.push_back({to, bytes + parts[me].offset, parts[me].bytes});
    if (parts[peer].bytes > 0) receives.push_back({to, bytes + parts[peer].offset, parts[peer].bytes});
  }
  send_recv(sends, receives, stream);
}

}  // namespace ferry::parallel
