#include "offload/transport/slots.h"

#include <algorithm>

#include "model/tensor.h"

namespace ferry::offload {

namespace {

bool same_place(const TensorPlace& a, const TensorPlace& b) {
  return a.offset == b.offset && a.dtype == b.dtype && a.format.shape == b.format.shape &&
         a.format.strides == b.format.strides;
}

bool same_layout(const BlockPlace& a, const BlockPlace& b) {
  return std::equal(a.modules.begin(), a.modules.end(), b.modules.begin(), b.modules.end(),
                    [](const ModulePlace& m, const ModulePlace& n) {
                      return m.host_only == n.host_only &&
                             std::equal(m.tensors.begin(), m.tensors.end(), n.tensors.begin(),
                                        n.tensors.end(), same_place);
                    });
}

}  // namespace

std::vector<int> layout_classes(const ArenaLayout& layout, const std::vector<int>& offloaded) {
  std::vector<int> classes;
  std::vector<int> first;  // a block of each class
  for (const int block : offloaded) {
    const auto known = std::find_if(first.begin(), first.end(), [&](int each) {
      return same_layout(block_of(layout, each), block_of(layout, block));
    });
    classes.push_back(static_cast<int>(known - first.begin()));
    if (known == first.end()) first.push_back(block);
  }
  return classes;
}

std::vector<Slot> make_slots(const NodeArena& arena, const Residency& residency, Device& device,
                             DeviceAccount& account, parallel::Group* group, std::size_t slices) {
  const ArenaLayout& layout = arena.layout();
  const std::vector<int> classes = layout_classes(layout, residency.offloaded);
  std::vector<Slot> slots;
  for (int s = 0; s < residency.slots; ++s) {
    Slot slot;
    slot.memory = AccountedMemory(device, account, Category::Slots, slot_bytes(layout, residency), group);
    for (std::size_t i = 0; i < classes.size(); ++i) {
      if (classes[i] < static_cast<int>(slot.views.size())) continue;
      slot.views.push_back(make_views(block_of(layout, residency.offloaded[i]), slot.memory.data(),
                                      model::torch_device(device)));
    }
    slot.free = device.make_event(EventKind::Order);
    slot.open = device.make_event(EventKind::Order);
    slot.staged = device.make_event(EventKind::Order);
    slot.ready = device.make_event(EventKind::Order);
    while (slot.slices.size() < slices) slot.slices.push_back(device.make_event(EventKind::Order));
    slots.push_back(std::move(slot));
  }
  return slots;
}

std::vector<Range> ranges_of(const BlockPlace& block, const std::vector<bool>& modules) {
  std::vector<Range> chosen;
  for (std::size_t m = 0; m < block.modules.size(); ++m) {
    const ModulePlace& module = block.modules[m];
    if (!modules[m] || module.host_only || module.bytes == 0) continue;
    chosen.push_back({.offset = module.offset, .bytes = module.bytes});
  }
  std::sort(chosen.begin(), chosen.end(), [](const Range& a, const Range& b) { return a.offset < b.offset; });
  std::vector<Range> ranges;
  for (const Range& each : chosen) {
    const bool touches = !ranges.empty() && ranges.back().offset + ranges.back().bytes == each.offset;
    if (touches) {
      ranges.back().bytes += each.bytes;
    } else {
      ranges.push_back(each);
    }
  }
  return ranges;
}

std::vector<Range> clip(const std::vector<Range>& ranges, std::size_t begin, std::size_t end) {
  std::vector<Range> clipped;
  for (const Range& range : ranges) {
    const std::size_t from = std::max(begin, range.offset);
    const std::size_t to = std::min(end, range.offset + range.bytes);
    if (from < to) clipped.push_back({.offset = from, .bytes = to - from});
  }
  return clipped;
}

std::size_t total_bytes(const std::vector<Range>& ranges) {
  std::size_t total = 0;
  for (const Range& range : ranges) total += range.bytes;
  return total;
}

}  // namespace ferry::offload
