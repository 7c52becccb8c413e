#include "offload/arena/arena.h"

#include <atomic>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/host/memory_use.h"
#include "base/log.h"
#include "offload/arena/host_check.h"
#include "offload/arena/host_threads.h"
#include "offload/arena/huge_pages.h"
#include "offload/arena/placement.h"
#include "parallel/agree.h"

namespace ferry::offload {

namespace {

// In its files.
std::size_t bytes_of(const checkpoint::Checkpoint& checkpoint) {
  std::size_t bytes = 0;
  for (const checkpoint::TensorEntry& entry : checkpoint.entries())
    bytes += static_cast<std::size_t>(entry.numel()) * size_of(entry.dtype);
  return bytes;
}

}  // namespace

ArenaPlan arena_plan(const model::NetworkSpec& spec, const model::NetworkSpec& stored, int weight_ranks) {
  return {.spec = spec,
          .stored = stored,
          .layout = arena_layout(stored, weight_ranks),
          .weight_ranks = weight_ranks};
}

ArenaPlan arena_plan(const model::NetworkSpec& spec, int weight_ranks) {
  return arena_plan(spec, spec, weight_ranks);
}

// A load of this rank's share in progress.
struct NodeArena::Loading {
  std::atomic<bool> stop = false;
  std::string error;
  std::thread thread;
  ~Loading() {
    stop = true;
    if (thread.joinable()) thread.join();
  }
};

NodeArena::NodeArena(ArenaPlan plan, const NodeRanks& node) : plan_(std::move(plan)), node_(node) {
  const auto check = [&](std::size_t copies) {
    parallel::fail_together(node_.peers, [&] {
      if (node_.peers.rank != 0) return;
      const HostMemory memory = host_memory();
      check_host_memory(plan_, copies, memory, place_of(memory));
    });
  };
  check(1);
  // The locks by which the ranks coordinate page-locking follow the weights.
  const MemorySize size{.bytes = plan_.layout.bytes + PinLocks::bytes(pin_locks(plan_.layout)),
                        .files = borders_of(plan_.layout, plan_.file_bytes)};
  memory_ =
      make_node_memory(size, node_, plan_.first, [&] { check(static_cast<std::size_t>(node_.peers.size)); });
}

// Stop writers and page-locking before the memory is freed.
NodeArena::~NodeArena() {
  loading_.reset();
  pinning_.reset();
}

LoadPlan NodeArena::load_plan(int threads) const {
  const bool divided = kind() != MemoryKind::Private;
  return {.stored = &plan_.stored,
          .layout = &plan_.layout,
          .arena = data(),
          .ranks = divided ? node_.peers.size : 1,
          .rank = divided ? node_.peers.rank : 0,
          .threads = threads};
}

void NodeArena::begin_load(TensorSource source, const LoadSetup& setup) {
  place_pages(*memory_, plan_.layout, node_, plan_.spec.name);
  const LoadPlan plan = load_plan(setup.threads);
  loading_ = std::make_unique<Loading>();
  loading_->thread = std::thread(
      [this, plan, source = std::move(source), progress = setup.progress, loading = loading_.get()] {
        const TensorSource stoppable = [&](const model::TensorSpec& spec, std::byte* tensor,
                                           std::int64_t row_begin, std::int64_t row_end) {
          if (loading->stop) throw Error(plan_.spec.name + ": loading was broken off");
          source(spec, tensor, row_begin, row_end);
          if (node_.at_work) node_.at_work();
        };
        try {
          load_portion(plan, stoppable, progress);
          PinLocks(plan.arena + plan.layout->bytes).filled();
        } catch (const std::exception& failed) {
          loading->error = parallel::failure_words(failed);
        }
      });
  if (setup.pin_for != nullptr) begin_pin(*setup.pin_for, setup.divided);
}

void NodeArena::finish_load() {
  loading_->thread.join();
  parallel::throw_first_failure(node_.peers, loading_->error);
  if (node_.peers.rank == 0 || kind() == MemoryKind::Private) memory_->seal();
  if (node_.peers.rank != 0 || kind() != MemoryKind::Memfd) return;
  const std::string advice = huge_page_advice(plan_.spec.name, bytes(), shared_huge_pages());
  if (!advice.empty()) spdlog::info("{}", advice);
}

void NodeArena::load(TensorSource source, int threads,
                     const std::function<void(const LoadProgress&)>& progress) {
  begin_load(std::move(source), {.threads = threads, .progress = progress});
  finish_load();
}

void NodeArena::reload(const ArenaSource& source, const Merge& before,
                       const std::function<void(const LoadProgress&)>& progress) {
  LoadPlan plan = load_plan(host_threads(node_.peers.size));
  plan.only = [&](const model::TensorSpec& tensor) {
    return !before.additions_to(tensor.key).empty() || !source.merge.additions_to(tensor.key).empty();
  };
  const bool tight = bytes_of(source.checkpoint) > host_memory().available_bytes;
  const TensorSource read = checkpoint_source(source.checkpoint, tight, source.merge);
  parallel::fail_together(node_.peers, [&] {
    load_portion(
        plan,
        [&](const model::TensorSpec& spec, std::byte* tensor, std::int64_t row_begin, std::int64_t row_end) {
          read(spec, tensor, row_begin, row_end);
          if (node_.at_work) node_.at_work();
        },
        progress);
  });
}

bool NodeArena::filled() const { return PinLocks(data() + plan_.layout.bytes).filled_by(fillers()); }

bool NodeArena::pinning_over_on_node() const { return PinLocks(data() + plan_.layout.bytes).over(); }

void NodeArena::begin_pin(Device& device, const std::vector<int>& divided) {
  if (device.type() == DeviceType::Cpu || pinning_ != nullptr || pinned_) return;
  PinOrder order = pin_order(plan_.layout, divided, node_.peers.rank, node_.peers.size, plan_.weight_ranks);
  borders_ = PinBorders(data(), order);
  pinning_ = std::make_unique<Pinning>(PinPlan{.device = &device,
                                               .name = plan_.spec.name,
                                               .arena = data(),
                                               .order = std::move(order),
                                               .locks = data() + plan_.layout.bytes,
                                               .fillers = loading_ == nullptr ? 0 : fillers(),
                                               .at_work = node_.at_work});
}

bool NodeArena::pin(Device& device, bool copies) {
  if (pinned_) return *pinned_;
  if (device.type() == DeviceType::Cpu) return false;
  if (copies) begin_pin(device);
  const std::string mine = pinning_ == nullptr ? "" : pinning_->wait_first();
  const std::string error = first_error(node_.peers, mine);
  if (!error.empty()) {
    pinning_.reset();
    if (node_.peers.rank == 0) {
      spdlog::warn("{}: the weights cannot be page-locked, copies will be slow ({})", plan_.spec.name, error);
    }
  }
  pinned_ = error.empty();
  return *pinned_;
}

void NodeArena::wait_pinned() {
  if (pinning_ != nullptr) pinning_->wait_all();
}

void NodeArena::pause_pinning(bool paused) {
  if (pinning_ == nullptr) return;
  if (paused) {
    pinning_->pause();
  } else {
    pinning_->resume();
  }
}

std::size_t NodeArena::huge_bytes() const {
  const bool any = kind() == MemoryKind::Memfd && shared_huge_pages();
  return any ? mapped_huge(data(), bytes()) : 0;
}

std::unique_ptr<NodeArena> begin_arena(const ArenaSource& source, const ArenaPlan& plan,
                                       const NodeRanks& node, LoadSetup setup) {
  auto arena = std::make_unique<NodeArena>(plan, node);
  const bool tight = arena->bytes() + bytes_of(source.checkpoint) > host_memory().available_bytes;
  setup.threads = host_threads(node.peers.size);
  setup.divided = plan.divided;
  arena->begin_load(checkpoint_source(source.checkpoint, tight, source.merge), setup);
  return arena;
}

std::unique_ptr<NodeArena> load_arena(const ArenaSource& source, const ArenaPlan& plan, const NodeRanks& node,
                                      const std::function<void(const LoadProgress&)>& progress) {
  std::unique_ptr<NodeArena> arena = begin_arena(source, plan, node, {.progress = progress});
  arena->finish_load();
  return arena;
}

}  // namespace ferry::offload
