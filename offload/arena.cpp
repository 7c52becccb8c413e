#include "offload/arena.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "offload/host_check.h"
#include "offload/placement.h"
#include "offload/sequential_plan.h"

namespace ferry::offload {

namespace {

constexpr int kMostThreads = 8;
// Errors of the user keep their kind on their way between ranks.
constexpr std::string_view kUserMark = "user: ";

std::string described(const std::exception& error) {
  const bool user = dynamic_cast<const UserError*>(&error) != nullptr;
  return (user ? std::string(kUserMark) : std::string()) + error.what();
}

// Throws the error of the first rank that has one, on every rank.
void throw_first(const Peers& peers, const std::string& mine) {
  for (const std::string& error : gather_words(peers, mine)) {
    if (error.empty()) continue;
    if (error.starts_with(kUserMark)) throw UserError(error.substr(kUserMark.size()));
    throw Error(error);
  }
}

// Runs `work` on every rank and agrees on whether it failed.
template <class Work>
void together(const Peers& peers, const Work& work) {
  std::string error;
  try {
    work();
  } catch (const std::exception& failed) {
    error = described(failed);
  }
  throw_first(peers, error);
}

int load_threads(int node_size) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(cores / node_size, 1, kMostThreads);
}

}  // namespace

ArenaPlan arena_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks) {
  return {.spec = spec, .stored = stored_spec(spec, options), .weight_ranks = weight_ranks};
}

NodeArena::NodeArena(ArenaPlan plan, const NodeRanks& node)
    : plan_(std::move(plan)), node_(node), layout_(arena_layout(plan_.stored, plan_.weight_ranks)) {
  const auto check = [&](std::size_t copies) {
    together(node_.peers, [&] {
      if (node_.peers.rank != 0) return;
      const HostMemory memory = host_memory();
      check_host_memory(plan_, layout_.bytes, copies, memory, place_of(memory));
    });
  };
  check(1);
  memory_ = make_node_memory(layout_.bytes, node_, plan_.first,
                             [&] { check(static_cast<std::size_t>(node_.peers.size)); });
}

NodeArena::~NodeArena() { unpin(); }

void NodeArena::load(const TensorSource& source, int threads,
                     const std::function<void(const LoadProgress&)>& progress) {
  place_pages(*memory_, layout_, node_, plan_.spec.name);
  const bool divided = kind() != MemoryKind::Private;
  const LoadPlan plan{.stored = &plan_.stored,
                      .layout = &layout_,
                      .arena = data(),
                      .ranks = divided ? node_.peers.size : 1,
                      .rank = divided ? node_.peers.rank : 0,
                      .threads = threads};
  together(node_.peers, [&] { load_share(plan, source, progress); });
  if (node_.peers.rank == 0 || !divided) memory_->seal();
}

std::string NodeArena::try_pin(Device& device) {
  try {
    std::vector<const Blob*> blobs = {&layout_.head.blob, &layout_.tail.blob};
    for (const BlockPlace& block : layout_.blocks) blobs.push_back(&block.blob);
    for (const Blob* blob : blobs) {
      if (blob->bytes == 0) continue;
      device.pin(data() + blob->offset, round_up(blob->bytes, kBlobAlign));
      registered_.push_back(data() + blob->offset);
    }
    return {};
  } catch (const Error& failed) {
    return failed.what();
  }
}

bool NodeArena::pin(Device& device, bool copies) {
  if (pinned_) return *pinned_;
  if (device.type() == DeviceType::Cpu) return false;
  device_ = &device;
  std::string error;
  // Ranks that register the same pages at the same moment can fail.
  for (int turn = 0; turn < node_.peers.size; ++turn) {
    if (copies && turn == node_.peers.rank) error = try_pin(device);
    barrier(node_.peers);
  }
  error = first_error(node_.peers, error);
  if (!error.empty()) {
    unpin();
    if (node_.peers.rank == 0) {
      spdlog::warn("{}: the weights cannot be page-locked, copies will be slow ({})", plan_.spec.name, error);
    }
  }
  pinned_ = error.empty();
  return *pinned_;
}

void NodeArena::unpin() noexcept {
  for (void* piece : registered_) device_->unpin(piece);
  registered_.clear();
}

std::unique_ptr<NodeArena> load_arena(const ArenaSource& source, const Options& options,
                                      const NodeRanks& node,
                                      const std::function<void(const LoadProgress&)>& progress) {
  auto arena = std::make_unique<NodeArena>(arena_plan(source.spec, options, node.peers.size), node);
  std::size_t source_bytes = 0;
  for (const model::TensorEntry& entry : source.checkpoint.entries()) {
    source_bytes += static_cast<std::size_t>(entry.numel()) * size_of(entry.dtype);
  }
  const bool tight = arena->bytes() + source_bytes > host_memory().available_bytes;
  arena->load(checkpoint_source(source.checkpoint, tight, source.merge), load_threads(node.peers.size),
              progress);
  return arena;
}

}  // namespace ferry::offload
