#include "offload/transport/transport.h"

#include <algorithm>
#include <utility>

namespace ferry::offload {

namespace {

// One span for all chunks of the call: with one for each slice the host could not keep the queues full.
void queue_chunks(const Carrier& carrier, Job& job, const std::byte* arena, std::size_t most_bytes) {
  const TraceScope span(carrier.copy_trace, Lane::Copy, "copy", *carrier.copy_stream, job.block);
  const std::size_t chunk = carrier.link->chunk();
  std::size_t chunks = most_bytes / chunk + (most_bytes % chunk == 0 ? 0 : 1);
  // An empty step is done at once, so that a job whose bytes are all queued is `copied`.
  while (job.next < job.todo.size() && (chunks > 0 || job.todo[job.next].range.bytes == 0)) {
    const auto& [range, there] = job.todo[job.next];
    const std::size_t left = range.bytes - job.done;
    const std::size_t part = left / chunk < chunks ? left : chunks * chunk;
    const std::size_t offset = range.offset + job.done;
    if (part > 0) {
      carrier.link->copy(*carrier.copy_stream, job.slot->memory.data() + offset,
                         arena + job.blob.offset + offset, part, job.block);
    }
    chunks -= std::min(chunks, (part + chunk - 1) / chunk);
    job.done += part;
    if (job.done < range.bytes) continue;
    if (there != nullptr) carrier.copy_stream->record(*there);
    job.done = 0;
    ++job.next;
  }
}

}  // namespace

void plan_copies(const Carrier& carrier, const Sharing& sharing, std::size_t slice_bytes,
                 const std::vector<Range>& wanted, Job& job) {
  const auto add = [&job](const std::vector<Range>& ranges) {
    for (const Range& range : ranges) job.todo.push_back({.range = range});
  };
  if (carrier.group == nullptr || sharing.share == 0) return add(wanted);
  Division division = divide(wanted, sharing, carrier.shards());
  const Range& mine = division.shared[static_cast<std::size_t>(carrier.shard())];
  const auto& events = job.slot->slices;
  for (const Range& slice : slices_of(mine, slice_bytes, events.size())) {
    Event* there = events[job.slices.size()].get();
    add(clip(wanted, slice.offset, slice.offset + slice.bytes));
    job.todo.push_back({.range = {.offset = slice.offset + slice.bytes}, .there = there});
    job.slices.push_back({.range = slice, .there = there});
  }
  add(rests_of(wanted, division, carrier.shard()));
  job.shared = std::move(division.shared);
}

void copy_some(const Carrier& carrier, Job& job, const std::byte* arena, std::size_t most_bytes) {
  if (job.copied) return;
  const bool gathers = !job.shared.empty();
  if (!job.started) {
    carrier.copy_stream->wait(*job.slot->free);
    if (gathers) carrier.copy_stream->record(*job.slot->open);
    carrier.meter->copy_begins(*carrier.copy_stream);
    job.started = true;
  }
  queue_chunks(carrier, job, arena, most_bytes);
  if (job.next < job.todo.size()) return;
  carrier.copy_stream->record(gathers ? *job.slot->staged : *job.slot->ready);
  carrier.meter->copy_ends(*carrier.copy_stream);
  job.copied = true;
  job.complete = !gathers;
}

void complete(const Carrier& carrier, Job& job) {
  if (job.complete) return;
  carrier.gather_stream->wait(*job.slot->open);
  {
    const TraceScope span(carrier.trace, Lane::Gather, "gather", *carrier.gather_stream, job.block);
    carrier.group->all_gather_parts(job.slot->memory.data(), job.shared, job.slices, carrier.gate,
                                    *carrier.gather_stream);
  }
  carrier.gather_stream->wait(*job.slot->staged);
  carrier.gather_stream->record(*job.slot->ready);
  job.complete = true;
}

}  // namespace ferry::offload
