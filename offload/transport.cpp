#include "offload/transport.h"

#include <algorithm>

namespace ferry::offload {

std::size_t shard_bytes(const std::vector<Range>& ranges, int ranks) {
  if (ranges.empty()) return 0;
  const auto count = static_cast<std::size_t>(ranks);
  return round_up(ranges.back().offset + ranges.back().bytes, count * kTensorAlign) / count;
}

std::vector<Range> share_of(const std::vector<Range>& ranges, int rank, int ranks) {
  const std::size_t shard = shard_bytes(ranges, ranks);
  const std::size_t begin = shard * static_cast<std::size_t>(rank);
  return clip(ranges, begin, begin + shard);
}

void copy_some(const Carrier& carrier, Job& job, const std::byte* arena, std::size_t most_bytes) {
  if (job.copied) return;
  if (!job.started) {
    carrier.copy->wait(*job.slot->free);
    carrier.meter->copy_begins(*carrier.copy);
    job.started = true;
  }
  const std::size_t chunk = carrier.link->chunk();
  std::size_t chunks = most_bytes / chunk + (most_bytes % chunk == 0 ? 0 : 1);
  while (job.next < job.todo.size() && chunks > 0) {
    const Range& range = job.todo[job.next];
    const std::size_t left = range.bytes - job.done;
    const std::size_t part = left / chunk < chunks ? left : chunks * chunk;
    const std::size_t offset = range.offset + job.done;
    carrier.link->copy(*carrier.copy, job.slot->memory.data() + offset, arena + job.blob.offset + offset,
                       part, job.block);
    chunks -= std::min(chunks, (part + chunk - 1) / chunk);
    job.done += part;
    if (job.done < range.bytes) continue;
    job.done = 0;
    ++job.next;
  }
  if (job.next < job.todo.size()) return;
  carrier.copy->record(carrier.group == nullptr ? *job.slot->ready : *job.slot->staged);
  carrier.meter->copy_ends(*carrier.copy);
  job.copied = true;
  job.complete = carrier.group == nullptr;
}

void complete(const Carrier& carrier, Job& job) {
  if (job.complete) return;
  std::byte* data = job.slot->memory.data();
  carrier.gather->wait(*job.slot->staged);
  {
    const TraceScope span(carrier.trace, Lane::Gather, "gather", *carrier.gather, job.block);
    carrier.group->all_gather(data, data + job.shard * static_cast<std::size_t>(carrier.shard()), job.shard,
                              *carrier.gather);
  }
  carrier.gather->record(*job.slot->ready);
  job.complete = true;
}

}  // namespace ferry::offload
