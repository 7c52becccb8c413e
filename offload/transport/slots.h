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
  std::vector<BlockViews> views;               // indexed by layout class
  std::unique_ptr<Event> free;                 // compute stream: its block has been used
  std::unique_ptr<Event> open;                 // copy stream: the next block may be written
  std::unique_ptr<Event> staged;               // copy stream: this rank's copies are done
  std::unique_ptr<Event> ready;                // all bytes are ready
  std::vector<std::unique_ptr<Event>> slices;  // copy stream: a slice of the shared bytes is copied
  int block = -1;                              // block that it holds or will hold; -1: none
  std::vector<bool> modules;                   // modules of it that are included
};

// Blocks with equal tensor offsets share a class, and so a slot's views.  One entry per offloaded block,
// counted from 0.
std::vector<int> layout_classes(const ArenaLayout& layout, const std::vector<int>& offloaded);

// Allocates the memory (category Slots), from `group` if ranks share copies, and creates all views and
// events, with `slices` in each slot.  Throws OutOfMemory.  Collective over the group.
std::vector<Slot> make_slots(const NodeArena& arena, const Residency& residency, Device& device,
                             DeviceAccount& account, parallel::Group* group, std::size_t slices);

using parallel::Range;  // a range of a blob

// Bytes of the chosen modules of a block, ascending, neighbours merged.
std::vector<Range> ranges_of(const BlockPlace& block, const std::vector<bool>& modules);

// Clips `ranges` to [begin, end).
std::vector<Range> clip(const std::vector<Range>& ranges, std::size_t begin, std::size_t end);

std::size_t total_bytes(const std::vector<Range>& ranges);

}  // namespace ferry::offload
