#include "offload/async/async.h"

#include <sys/prctl.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

namespace ferry::offload {

namespace {

constexpr int kHead = model::ModuleId::kHead;
constexpr int kTail = model::ModuleId::kTail;

std::unique_ptr<Stream> make_copy_stream(Device& device) {
  auto stream = device.make_stream("ferry-copy", Priority::High);
  // Linux adds up to 50 us to sleeps by default.
  if (device.type() == DeviceType::Cpu) stream->call([] { ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); });
  return stream;
}

bool gates_by_events(const AsyncPlan& plan) {
  return plan.interleave == Interleave::Gated && plan.gate_by_events;
}

bool gates_on_host(const AsyncPlan& plan) {
  return plan.interleave == Interleave::Gated && !plan.gate_by_events;
}

// True if a share is used now or may be used later.
bool may_share(const AsyncPlan& plan) { return plan.sharing.share > 0 || plan.open; }

std::unique_ptr<Stream> make_gather_stream(const AsyncPlan& plan, const StageSetup& setup) {
  if (!may_share(plan) || setup.gather_stream != nullptr) return nullptr;
  return setup.device->make_stream("ferry-gather", Priority::High);
}

// Exchanges and gathers both use the copy engine between GPUs, one copy after the other.
std::unique_ptr<StreamGate> make_room_gate(const AsyncPlan& plan, const StageSetup& setup) {
  const bool free = plan.interleave == Interleave::Free;
  if (!may_share(plan) || setup.gather_stream != nullptr || !free || !setup.copy_sharers->copies())
    return nullptr;
  return make_stream_gate(*setup.device);
}

// Maximum number of slices of the bytes that this rank copies for all, over the ferried blocks.
std::size_t most_slices(const ArenaLayout& layout, const std::vector<int>& offloaded, const AsyncPlan& plan,
                        const parallel::Group* group) {
  Sharing sharing = plan.sharing;
  if (plan.open) sharing.share = 1;
  std::size_t most = 0;
  for (const int block : offloaded) {
    if (group == nullptr) break;
    const std::vector<Range> all = {{.bytes = block_of(layout, block).blob.bytes}};
    const Range mine = divide(all, sharing, group->size()).shared[static_cast<std::size_t>(group->rank())];
    most = std::max(most, slices_of(mine, plan.slice_bytes, mine.bytes).size());
  }
  return most;
}

}  // namespace

Async::Async(NodeArena& arena, const StagePlan& stage, const StageSetup& setup, AsyncPlan plan)
    : arena_(arena),
      setup_(setup),
      residency_(stage.residency),
      plan_(std::move(plan)),
      lazy_(stage.lazy_slots),
      offloaded_(arena.spec().blocks.size()),
      exchanges_of_(arena.spec().blocks.size()),
      copy_stream_(make_copy_stream(*setup.device)),
      own_gather_stream_(make_gather_stream(plan_, setup)),
      host_gate_(gates_on_host(plan_) ? std::make_unique<HostGate>() : nullptr),
      room_(make_room_gate(plan_, setup)),
      setup_link_(stage.link_gbps, chunk_bytes(setup.device->type()), nullptr, nullptr, &arena.pin_borders()),
      link_(stage.link_gbps, chunk_bytes(setup.device->type()), host_gate_.get(),
            host_gate_ ? setup.trace : nullptr, &arena.pin_borders()),
      meter_(*setup.device, static_cast<int>(residency_.offloaded.size())),
      resident_(arena, *setup.device, *setup.account),
      ferrying_(arena, ferrying_plan(setup),
                {.copy_stream = copy_stream_.get(),
                 .gather_stream = own_gather_stream_ ? own_gather_stream_.get() : setup.gather_stream,
                 .link = &link_,
                 .group = slot_group(),
                 .meter = &meter_,
                 .trace = setup.trace,
                 .copy_trace = host_gate_ ? nullptr : setup.trace,
                 .gate = room_.get()},
                setup.device->compute()) {
  for (const int block : residency_.offloaded) offloaded_[static_cast<std::size_t>(block)] = true;
  if (gates_by_events(plan_)) {
    std::vector<Stream*> streams = {copy_stream_.get()};
    if (own_gather_stream_) streams.push_back(own_gather_stream_.get());
    event_gate_ = std::make_unique<EventGate>(*setup.device, std::move(streams));
    gap_shares_ = std::make_unique<Gaps>(*setup.device);
  }
  if (plan_.open) {
    plan_.open->blocks = static_cast<int>(residency_.offloaded.size());
    plan_.open->first = plan_.sharing.share;
    auto_ = std::make_unique<AutoShare>(*plan_.open, arena, setup.peers, *setup.device);
  }
  if (!lazy_) allocate_gpu_cache();
}

Async::~Async() {
  try {
    // An exchange has ended before what the gates queue behind it, which uses them.
    if (exchange_stream_ != nullptr) exchange_stream_->synchronize();
  } catch (...) {  // already reported by an earlier call
  }
  try {
    drop_slots();
  } catch (...) {  // likewise
  }
}

FerryingPlan Async::ferrying_plan(const StageSetup& setup) const {
  return {.residency = residency_,
          .sharing = plan_.sharing,
          .slice_bytes = plan_.slice_bytes,
          .poison = setup.poison,
          .in_portions = gates_by_events(plan_),
          .late_gathers = may_share(plan_) && setup.gather_stream != nullptr};
}

void Async::require_between_forwards(const char* what) const {
  if (running_) throw std::invalid_argument(std::string(what) + " is called inside a forward");
}

void Async::allocate_gpu_cache() {
  require_between_forwards("allocate_gpu_cache()");
  if (!enabled_ || cache_allocated()) return;
  ferrying_.reset(new_slots());
}

void Async::cleanup_gpu_cache() {
  require_between_forwards("cleanup_gpu_cache()");
  drop_slots();
}

parallel::Group* Async::slot_group() const { return may_share(plan_) ? setup_.copy_sharers : nullptr; }

std::vector<Slot> Async::new_slots() {
  return make_slots(arena_, residency_, *setup_.device, *setup_.account, slot_group(),
                    most_slices(arena_.layout(), residency_.offloaded, plan_, slot_group()));
}

// Drains every stream that may still use a slot, all of them even if one fails.
void Async::drop_slots() {
  if (!cache_allocated()) return;
  std::exception_ptr first;
  const auto attempt = [&first](const auto& work) {
    try {
      work();
    } catch (...) {
      if (first == nullptr) first = std::current_exception();
    }
  };
  Stream& compute = setup_.device->compute();
  attempt([&] { compute.synchronize(); });
  attempt([&] { copy_stream_->synchronize(); });
  if (room_) attempt([&] { room_->open(compute); });  // a forward may have been aborted
  if (own_gather_stream_) attempt([&] { own_gather_stream_->synchronize(); });
  if (may_share(plan_) && setup_.gather_stream != nullptr)
    attempt([&] { setup_.gather_stream->synchronize(); });
  if (first != nullptr) std::rethrow_exception(first);
  ferrying_.reset({});
}

void Async::disable_offload() {
  require_between_forwards("disable_offload()");
  if (!std::exchange(enabled_, false)) return;
  drop_slots();
  if (!prepared_) return;
  for (const int block : residency_.offloaded) resident_.add(block, setup_link_);
}

void Async::enable_offload() {
  require_between_forwards("enable_offload()");
  if (std::exchange(enabled_, true)) return;
  setup_.device->compute().synchronize();
  for (const int block : residency_.offloaded) resident_.remove(block);
  if (!lazy_) allocate_gpu_cache();
}

void Async::prepare() {
  if (!prepared_) {
    resident_.add(kHead, setup_link_);
    for (const int block : residency_.resident) resident_.add(block, setup_link_);
    if (!enabled_) {
      for (const int block : residency_.offloaded) resident_.add(block, setup_link_);
    }
    resident_.add(kTail, setup_link_);
    prepared_ = true;
  }
  if (!lazy_) allocate_gpu_cache();
  if (cache_allocated()) ferrying_.top_up();
}

void Async::finish() {
  running_ = false;
  drop_slots();
  setup_.device->compute().synchronize();
  resident_.clear();
  prepared_ = false;
}

// All ranks are at the same position here and get the same share: issued positions keep their share, and each
// rank issues the next ones at the same points of the same program.
void Async::begin(const model::PassKey& key) {
  running_ = true;
  expected_ = 0;
  if (compares()) ferrying_.set_share(auto_->next(meter_));
  if (compares()) auto_->begins(key, setup_.device->compute());
  ferrying_.begin(key.kind);
}

// An aborted pass leaves the sequence in the middle; it is restarted.
void Async::end() {
  running_ = false;
  if (compares()) auto_->ends(ferrying_.fit(), setup_.device->compute());
  if (cache_allocated() && !ferrying_.at_start()) drop_slots();
}

void Async::acquire_block(int block) {
  exchanges_ = 0;
  block_ = block;
  if (gap_shares_) gap_shares_->begin_block();
  if (!ferries(block)) return;
  if (!cache_allocated()) ferrying_.reset(new_slots());
  ferrying_.acquire();
}

void Async::release_block(int block) {
  exchanges_of_[static_cast<std::size_t>(block)] = exchanges_;
  if (ferries(block)) ferrying_.release(block);
}

std::span<const at::Tensor> Async::acquire(model::ModuleId id) {
  return ferries(id.block) ? ferrying_.begin_use(id) : resident_[id];
}

void Async::release(model::ModuleId id) {
  if (ferries(id.block)) ferrying_.end_use(id);
}

void Async::soon(Stream& compute, int exchanges) {
  if (!room_) return;
  close_room(compute);
  expected_ = exchanges;
}

// Without gathers there is nothing to hold back.  A rank that is locking pages may be unable to start its
// exchanges until its gathers are done, which the other ranks would hold back (stream_gate.h).
void Async::close_room(Stream& stream) {
  if (ferrying_.share() == 0 || !arena_.pinning_over_on_node()) return;
  room_->close(stream);
  room_closed_ = true;
}

void Async::before(Stream& exchange_stream) {
  exchange_stream_ = &exchange_stream;
  if (room_ && expected_ == 0) close_room(exchange_stream);
  if (host_gate_) host_gate_->before(exchange_stream);
  if (gap_shares_) gap_shares_->before(exchange_stream);
  if (event_gate_) event_gate_->before(exchange_stream);
}

void Async::after(Stream& exchange_stream) {
  if (host_gate_) host_gate_->after(exchange_stream);
  if (gap_shares_) gap_shares_->after(exchange_stream);
  if (event_gate_) event_gate_->after(exchange_stream);
  expected_ = std::max(expected_ - 1, 0);
  if (expected_ == 0 && std::exchange(room_closed_, false)) room_->open(exchange_stream);
  ++exchanges_;
  if (!cache_allocated()) return;
  if (gap_shares_) ferrying_.copy_portion(gap_shares_->share());
  if (exchanges_ == exchanges_of_[static_cast<std::size_t>(block_)]) ferrying_.flush_gathers();
}

void Async::describe(Report& report) const {
  const StreamTimes exposed = meter_.exposed();
  report.type = StrategyKind::Async;
  report.transport = ferrying_.share() > 0 ? Transport::Sharded : Transport::Full;
  report.share = ferrying_.share();
  report.parts = plan_.sharing.weights;
  report.share_settled = auto_ == nullptr || auto_->settled();
  if (auto_) report.share_why = auto_->why();
  report.interleave = plan_.interleave;
  report.offloaded = enabled_ ? static_cast<int>(residency_.offloaded.size()) : 0;
  report.slots = residency_.slots;
  report.copied_once_bytes = setup_link_.copied_bytes();
  report.ferried_bytes = link_.copied_bytes();
  report.gathered_bytes = ferrying_.gathered_bytes();
  report.skipped_bytes = ferrying_.skipped_bytes();
  report.copy_ms = meter_.copy_ms();
  report.exposed_copy_ms = exposed.ms;
  report.exposed_ms_by_block = exposed.ms_by_place;
  report.exposed_ms_by_pass = exposed.ms_by_pass;
}

}  // namespace ferry::offload
