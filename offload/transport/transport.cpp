#include "offload/transport/transport.h"

#include <algorithm>
#include <utility>

namespace ferry::offload {

namespace {

// One span for all chunks of the call: with one for each slice the host could not keep the queues full.
void queue_chunks(const Carrier& carrier, BlockCopy& copy, const std::byte* arena, std::size_t most_bytes) {
  const std::size_t chunk = carrier.link->chunk();
  std::size_t chunks = most_bytes / chunk + (most_bytes % chunk == 0 ? 0 : 1);
  if (chunks == 0) return;
  const TraceScope span(carrier.copy_trace, Lane::Copy, "copy", *carrier.copy_stream, copy.block);
  // An empty step is done at once, so that a copy whose bytes are all queued is `copied`.
  while (copy.next < copy.todo.size() && (chunks > 0 || copy.todo[copy.next].range.bytes == 0)) {
    const auto& [range, there] = copy.todo[copy.next];
    const std::size_t left = range.bytes - copy.done;
    const std::size_t part = left / chunk < chunks ? left : chunks * chunk;
    const std::size_t offset = range.offset + copy.done;
    if (part > 0) {
      carrier.link->copy(*carrier.copy_stream, copy.slot->memory.data() + offset,
                         arena + copy.blob.offset + offset, part, copy.block);
    }
    chunks -= std::min(chunks, (part + chunk - 1) / chunk);
    copy.done += part;
    if (copy.done < range.bytes) continue;
    if (there != nullptr) carrier.copy_stream->record(*there);
    copy.done = 0;
    ++copy.next;
  }
}

}  // namespace

void plan_copies(const Carrier& carrier, const Sharing& sharing, std::size_t slice_bytes,
                 const std::vector<Range>& wanted, BlockCopy& copy) {
  const auto add = [&copy](const std::vector<Range>& ranges) {
    for (const Range& range : ranges) copy.todo.push_back({.range = range});
  };
  if (carrier.group == nullptr || sharing.share == 0) return add(wanted);
  Division division = divide(wanted, sharing, carrier.shards());
  const Range& mine = division.shared[static_cast<std::size_t>(carrier.shard())];
  const auto& events = copy.slot->slices;
  for (const Range& slice : slices_of(mine, slice_bytes, events.size())) {
    Event* there = events[copy.slices.size()].get();
    add(clip(wanted, slice.offset, slice.offset + slice.bytes));
    copy.todo.push_back({.range = {.offset = slice.offset + slice.bytes}, .there = there});
    copy.slices.push_back({.range = slice, .there = there});
  }
  add(rests_of(wanted, division, carrier.shard()));
  copy.shared = std::move(division.shared);
}

void copy_some(const Carrier& carrier, BlockCopy& copy, const std::byte* arena, std::size_t most_bytes) {
  if (copy.copied) return;
  const bool gathers = !copy.shared.empty();
  if (!copy.started) {
    carrier.copy_stream->wait(*copy.slot->free);
    if (gathers) carrier.copy_stream->record(*copy.slot->open);
    carrier.meter->copy_begins(*carrier.copy_stream);
    copy.started = true;
  }
  queue_chunks(carrier, copy, arena, most_bytes);
  if (copy.next < copy.todo.size()) return;
  carrier.copy_stream->record(gathers ? *copy.slot->staged : *copy.slot->ready);
  carrier.meter->copy_ends(*carrier.copy_stream);
  copy.copied = true;
  copy.complete = !gathers;
}

void complete(const Carrier& carrier, BlockCopy& copy) {
  if (copy.complete) return;
  carrier.gather_stream->wait(*copy.slot->open);
  {
    const TraceScope span(carrier.trace, Lane::Gather, "gather", *carrier.gather_stream, copy.block);
    carrier.group->all_gather_parts(copy.slot->memory.data(), copy.shared, copy.slices, carrier.gate,
                                    *carrier.gather_stream);
  }
  carrier.gather_stream->wait(*copy.slot->staged);
  carrier.gather_stream->record(*copy.slot->ready);
  copy.complete = true;
}

}  // namespace ferry::offload
