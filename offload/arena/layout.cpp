#include "offload/arena/layout.h"

#include <algorithm>
#include <span>
#include <stdexcept>

namespace ferry::offload {

namespace {

class Placer {
 public:
  explicit Placer(std::size_t blob_multiple) : multiple_(blob_multiple) {}

  BlockPlace place_block(std::span<const model::ModuleSpec> modules) {
    BlockPlace block{.blob = {}, .modules = std::vector<ModulePlace>(modules.size())};
    std::size_t end = 0;
    const auto place = [&](bool once) {
      for (std::size_t m = 0; m < modules.size(); ++m) {
        if (modules[m].once != once) continue;
        block.modules[m] = place_module(modules[m], modules[m].host_only ? host_end_ : end);
      }
    };
    place(false);
    block.front = round_up(end, multiple_);
    place(true);
    block.blob = place_blob(end);
    return block;
  }
  Blob place_host() { return place_blob(host_end_); }
  std::size_t end() const { return end_; }

 private:
  Blob place_blob(std::size_t bytes) {
    const Blob blob{.offset = end_, .bytes = round_up(bytes, multiple_)};
    end_ = round_up(blob.offset + blob.bytes, kBlobAlign);
    return blob;
  }
  std::size_t multiple_;
  std::size_t end_ = 0;
  std::size_t host_end_ = 0;
};

void add_modules(std::vector<model::ModuleId>& ids, int block, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) ids.push_back({.block = block, .module = static_cast<int>(i)});
}

}  // namespace

ModulePlace place_module(const model::ModuleSpec& module, std::size_t& end) {
  ModulePlace place;
  place.offset = end;
  place.host_only = module.host_only;
  for (const model::TensorSpec& spec : module.tensors) {
    TensorPlace tensor{.offset = end, .dtype = spec.dtype, .format = model::memory_format(spec)};
    end += round_up(tensor.format.bytes, kTensorAlign);
    place.tensors.push_back(std::move(tensor));
  }
  place.bytes = end - place.offset;
  return place;
}

ArenaLayout arena_layout(const model::NetworkSpec& stored, int ranks) {
  if (ranks < 1) throw std::invalid_argument("arena_layout: ranks " + std::to_string(ranks) + " < 1");
  Placer placer(kTensorAlign * static_cast<std::size_t>(ranks));
  ArenaLayout layout;
  layout.head = placer.place_block(stored.head);
  for (const model::BlockSpec& block : stored.blocks) {
    layout.blocks.push_back(placer.place_block(block.modules));
  }
  layout.tail = placer.place_block(stored.tail);
  layout.host = placer.place_host();
  layout.bytes = placer.end();
  return layout;
}

std::size_t ArenaLayout::largest_block() const {
  std::size_t largest = 0;
  for (const BlockPlace& block : blocks) largest = std::max(largest, block.blob.bytes);
  return largest;
}

std::size_t ArenaLayout::block_bytes() const {
  std::size_t sum = 0;
  for (const BlockPlace& block : blocks) sum += block.blob.bytes;
  return sum;
}

const BlockPlace& block_of(const ArenaLayout& layout, int block) {
  if (block == model::ModuleId::kHead) return layout.head;
  if (block == model::ModuleId::kTail) return layout.tail;
  return layout.blocks.at(static_cast<std::size_t>(block));
}

const ModulePlace& place_of(const ArenaLayout& layout, model::ModuleId id) {
  return block_of(layout, id.block).modules.at(static_cast<std::size_t>(id.module));
}

const Blob& blob_of(const ArenaLayout& layout, model::ModuleId id) {
  return place_of(layout, id).host_only ? layout.host : block_of(layout, id.block).blob;
}

std::vector<model::ModuleId> all_modules(const model::NetworkSpec& spec) {
  std::vector<model::ModuleId> ids;
  add_modules(ids, model::ModuleId::kHead, spec.head.size());
  for (std::size_t b = 0; b < spec.blocks.size(); ++b) {
    add_modules(ids, static_cast<int>(b), spec.blocks[b].modules.size());
  }
  add_modules(ids, model::ModuleId::kTail, spec.tail.size());
  return ids;
}

std::vector<std::size_t> borders_of(const ArenaLayout& layout, std::size_t least_bytes) {
  const std::size_t least = std::max(least_bytes, layout.bytes / (kMostBorders + 1) + 1);
  std::vector<std::size_t> borders;
  std::size_t last = 0;
  const auto add = [&](std::size_t offset) {
    if (offset < last + least || layout.bytes - offset < least) return;
    borders.push_back(offset);
    last = offset;
  };
  for (const BlockPlace& block : layout.blocks) add(block.blob.offset);
  add(layout.tail.blob.offset);
  // The host blob is never page-locked and can be split anywhere.
  for (std::size_t in = 0; in < layout.host.bytes; in += round_up(least, kBlobAlign))
    add(layout.host.offset + in);
  return borders;
}

const Blob& largest_blob(const ArenaLayout& layout) {
  const Blob* largest =
      layout.head.blob.bytes > layout.tail.blob.bytes ? &layout.head.blob : &layout.tail.blob;
  for (const BlockPlace& block : layout.blocks) {
    if (block.blob.bytes > largest->bytes) largest = &block.blob;
  }
  return *largest;
}

}  // namespace ferry::offload
