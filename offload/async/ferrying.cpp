#include "offload/async/ferrying.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "offload/async/annotate.h"

namespace ferry::offload {

namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
constexpr std::uint8_t kNaN = 0xFF;  // every byte of a NaN, in every float type

std::vector<std::size_t> module_counts(const ArenaLayout& layout, const std::vector<int>& blocks) {
  std::vector<std::size_t> counts;
  for (const int block : blocks) counts.push_back(block_of(layout, block).modules.size());
  return counts;
}

bool includes(const std::vector<bool>& have, const std::vector<bool>& wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] && !have[i]) return false;
  }
  return true;
}

}  // namespace

Ferrying::Ferrying(const NodeArena& arena, FerryingPlan plan, Carrier carrier, Stream& compute)
    : arena_(arena),
      plan_(std::move(plan)),
      carrier_(carrier),
      compute_(compute),
      index_of_block_(arena.spec().blocks.size(), -1),
      classes_(layout_classes(arena.layout(), plan_.residency.offloaded)),
      expected_(module_counts(arena.layout(), plan_.residency.offloaded)) {
  for (int index = 0; const int block : plan_.residency.offloaded) {
    index_of_block_[static_cast<std::size_t>(block)] = index++;
  }
}

void Ferrying::reset(std::vector<Slot> slots) {
  slots_ = std::move(slots);
  busy_.assign(slots_.size(), false);
  pending_.clear();
  issued_ = acquired_ = other_end_ = share_from_ = 0;
  pass_end_ = period();
  expected_.reset();
}

void Ferrying::set_share(double share) {
  if (std::exchange(plan_.sharing.share, share) != share) share_from_ = issued_;
}

PassFit Ferrying::fit() const {
  if (acquired_ != pass_end_) return PassFit::None;
  const std::int64_t begin = pass_end_ - period();
  if (other_end_ > begin) return PassFit::Other;
  return share_from_ > begin ? PassFit::Between : PassFit::Measures;
}

void Ferrying::begin(const std::string& kind) {
  expected_.begin(kind);
  pass_end_ = acquired_ + period();
}

int Ferrying::block_at(std::int64_t position) const {
  return plan_.residency.offloaded[static_cast<std::size_t>(position % period())];
}

Slot& Ferrying::slot_at(std::int64_t position) {
  return slots_[static_cast<std::size_t>(position) % slots_.size()];
}

bool Ferrying::may_issue(std::int64_t position) {
  return !busy_[static_cast<std::size_t>(position) % slots_.size()];
}

void Ferrying::top_up() {
  while (may_issue(issued_)) issue(issued_++);
}

void Ferrying::issue(std::int64_t position) {
  Slot& slot = slot_at(position);
  const int block = block_at(position);
  const BlockPlace& place = block_of(arena_.layout(), block);
  const auto index = static_cast<std::size_t>(index_of(block));
  const std::vector<bool> wanted =
      position < pass_end_ ? expected_.of_this_pass(index) : expected_.of_any_pass(index);
  busy_[static_cast<std::size_t>(position) % slots_.size()] = true;
  if (slot.block == block && includes(slot.modules, wanted)) return;
  const std::vector<Range> ranges = ranges_of(place, wanted);
  const std::vector<Range> all = ranges_of(place, std::vector<bool>(wanted.size(), true));
  BlockCopy copy{.position = position, .block = block, .slot = &slot, .blob = place.blob};
  plan_copies(carrier_, plan_.sharing, plan_.slice_bytes, ranges, copy);
  skipped_bytes_ += static_cast<std::uint64_t>(
      std::llround(copied_share(plan_.sharing, carrier_.shard(), carrier_.shards()) *
                   static_cast<double>(total_bytes(all) - total_bytes(ranges))));
  const auto& modules = arena_.spec().blocks[static_cast<std::size_t>(block)].modules;
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (wanted[m] && modules[m].once) other_end_ = position + 1;
  }
  slot.block = block;
  slot.modules = wanted;
  pending_.push_back(std::move(copy));
  if (plan_.in_portions) return;
  copy_some(carrier_, pending_.back(), arena_.data(), kAll);
  if (!plan_.late_gathers) complete_copy(pending_.back());
  while (!pending_.empty() && pending_.front().complete) pending_.pop_front();
}

void Ferrying::complete_copy(BlockCopy& copy) {
  if (copy.complete) return;
  complete(carrier_, copy);
  gathered_bytes_ += total_bytes(copy.shared) - copy.shared[static_cast<std::size_t>(carrier_.shard())].bytes;
}

void Ferrying::finish_up_to(std::int64_t position) {
  while (!pending_.empty() && pending_.front().position <= position) {
    copy_some(carrier_, pending_.front(), arena_.data(), kAll);
    complete_copy(pending_.front());
    pending_.pop_front();
  }
}

void Ferrying::copy_portion(double fraction_of_block) {
  const auto budget =
      static_cast<std::size_t>(fraction_of_block * static_cast<double>(slots_.front().memory.bytes()));
  std::size_t left = budget;
  for (BlockCopy& copy : pending_) {
    if (copy.copied) continue;
    const std::uint64_t before = carrier_.link->copied_bytes();
    copy_some(carrier_, copy, arena_.data(), left);
    left -= std::min<std::size_t>(left, carrier_.link->copied_bytes() - before);
    if (left == 0) return;
  }
}

// The set completed here must not depend on measurements of a single rank.  Copies without a gather are left
// to copy_portion().
void Ferrying::flush_gathers() {
  const std::int64_t most = plan_.in_portions ? acquired_ : issued_;
  std::int64_t last = -1;
  for (const BlockCopy& copy : pending_) {
    if (copy.position <= most && !copy.shared.empty()) last = copy.position;
  }
  finish_up_to(last);
}

void Ferrying::acquire() {
  top_up();
  finish_up_to(acquired_);
  Slot& slot = slot_at(acquired_);
  carrier_.meter->wait_begins(acquired_, compute_);
  compute_.wait(*slot.ready);
  carrier_.meter->wait_ends(compute_);
  ++acquired_;
}

void Ferrying::release(int block) {
  std::int64_t position = acquired_ - 1;
  if (block_at(position) != block) --position;
  Slot& slot = slot_at(position);
  compute_.record(*slot.free);
  busy_[static_cast<std::size_t>(position) % slots_.size()] = false;
  expected_.learn(static_cast<std::size_t>(index_of(block)));
  if (plan_.poison && block_at(position + static_cast<std::int64_t>(slots_.size())) != block) poison(slot);
  if (plan_.late_gathers) flush_gathers();
  top_up();
}

void Ferrying::poison(Slot& slot) {
  carrier_.copy_stream->wait(*slot.free);
  carrier_.copy_stream->fill(slot.memory.data(), kNaN, slot.memory.bytes());
  slot.block = -1;
}

const Slot& Ferrying::slot_of(int block) const {
  return *std::find_if(slots_.begin(), slots_.end(),
                       [block](const Slot& slot) { return slot.block == block; });
}

std::span<const at::Tensor> Ferrying::begin_use(model::ModuleId id) {
  const Slot& slot = slot_of(id.block);
  const auto module = static_cast<std::size_t>(id.module);
  const auto index = static_cast<std::size_t>(index_of(id.block));
  if (!slot.modules[module]) fetch_module(slots_[static_cast<std::size_t>(&slot - slots_.data())], id);
  expected_.use(index, module);
  const ModulePlace& place = place_of(arena_.layout(), id);
  annotate_read(slot.memory.data() + place.offset, place.bytes);
  return slot.views[static_cast<std::size_t>(classes_[index])][module];
}

void Ferrying::end_use(model::ModuleId id) const {
  const ModulePlace& place = place_of(arena_.layout(), id);
  annotate_read(slot_of(id.block).memory.data() + place.offset, place.bytes);
}

void Ferrying::fetch_module(Slot& slot, model::ModuleId id) {
  const ModulePlace& place = place_of(arena_.layout(), id);
  const std::byte* source = arena_.at(blob_of(arena_.layout(), id)) + place.offset;
  other_end_ = acquired_;
  carrier_.copy_stream->wait(*slot.ready);
  {
    const TraceScope span(carrier_.copy_trace, Lane::Copy, "copy", *carrier_.copy_stream, id.block);
    carrier_.link->copy(*carrier_.copy_stream, slot.memory.data() + place.offset, source, place.bytes,
                        id.block);
  }
  carrier_.copy_stream->record(*slot.staged);
  compute_.wait(*slot.staged);
  slot.modules[static_cast<std::size_t>(id.module)] = true;
}

}  // namespace ferry::offload
