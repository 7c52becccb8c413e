// The device side of async: a fixed pool of block-sized buffers with their views and events.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "offload/arena/arena.h"
#include "offload/arena/views.h"
#include "offload/device_account.h"
#include "offload/residency.h"
#include "parallel/group.h"

namespace ferry::offload {

struct Slot {
  AccountedMemory memory;
  std::vector<BlockViews> views;               // by layout class
  std::unique_ptr<Event> free;                 // on the compute stream: its block has been used
  std::unique_ptr<Event> open;                 // on the copy stream: the next block may be written
  std::unique_ptr<Event> staged;               // on the copy stream: what this rank copies is there
  std::unique_ptr<Event> ready;                // all bytes are there
  std::vector<std::unique_ptr<Event>> slices;  // on the copy stream: a slice of what it copies for all is
  int block = -1;                              // whose bytes it holds or is about to; -1: nobody's
  std::vector<bool> modules;                   // which modules of it
};

// Blocks whose tensors lie at the same offsets share a class, and so the views of a slot.  One entry per
// offloaded block, counted from 0.
std::vector<int> layout_classes(const ArenaLayout& layout, const std::vector<int>& offloaded);

// Takes the memory (category Slots), from `group` where ranks share the copying, and makes every view and
// event, of `slices` in each slot.  Throws OutOfMemory.  Collective over the group.
std::vector<Slot> make_slots(const NodeArena& arena, const Residency& residency, Device& device,
                             DeviceAccount& account, parallel::Group* group, std::size_t slices);

using parallel::Range;  // of a blob

// The bytes of the chosen modules of a block, ascending, neighbours merged.
std::vector<Range> ranges_of(const BlockPlace& block, const std::vector<bool>& modules);

// The parts of `ranges` that lie in [begin, end).
std::vector<Range> clip(const std::vector<Range>& ranges, std::size_t begin, std::size_t end);

std::size_t total_bytes(const std::vector<Range>& ranges);

}  // namespace ferry::offload
