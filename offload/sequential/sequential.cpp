#include "offload/sequential/sequential.h"

#include <algorithm>
#include <stdexcept>

#include "offload/arena/layout.h"

namespace ferry::offload {

namespace {

constexpr int kPasses = 3;  // passes timed before events are reused

int modules_of(const model::NetworkSpec& spec) { return static_cast<int>(all_modules(spec).size()); }

}  // namespace

Sequential::Sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup)
    : arena_(arena),
      setup_(setup),
      limit_bytes_(plan.limit_bytes),
      setup_link_(plan.link_gbps, chunk_bytes(setup.device->type())),
      call_link_(plan.link_gbps, chunk_bytes(setup.device->type())),
      pool_(*setup.device, *setup.account),
      copies_(*setup.device, static_cast<int>(arena.spec().blocks.size()),
              kPasses * modules_of(arena.spec())),
      carrier_{*setup.device, *setup.account, pool_, setup_link_, call_link_, copies_} {
  for (const ModulePlan& module : plan.modules) modules_.emplace_back(arena, module, carrier_);
}

Sequential::~Sequential() {
  leave_account();
  try {
    finish();
  } catch (...) {  // already reported by an earlier call
  }
}

std::size_t Sequential::index(model::ModuleId id) const {
  const model::NetworkSpec& spec = arena_.spec();
  std::size_t at = static_cast<std::size_t>(id.module);
  if (id.block == model::ModuleId::kHead) return at;
  at += spec.head.size();
  const std::size_t blocks =
      id.block == model::ModuleId::kTail ? spec.blocks.size() : static_cast<std::size_t>(id.block);
  for (std::size_t b = 0; b < blocks; ++b) at += spec.blocks[b].modules.size();
  return at;
}

std::size_t Sequential::wrapped_index(model::ModuleId id) const {
  if (!is_wrapped(id))
    throw std::invalid_argument(model::module_of(arena_.spec(), id).name + " is not wrapped");
  return index(id);
}

bool Sequential::takes_lora(model::ModuleId id) const {
  return module(id).plan().wrapper != Wrapper::AutoWrappedModule;
}

// Temporary memory of the largest call.
std::size_t Sequential::staging_need() const {
  std::size_t most = 0;
  for (const WrappedModule& each : modules_) {
    if (each.has_wrapper()) most = std::max(most, each.call_bytes());
  }
  return most;
}

// From here to finish() its limit binds all stages, and its kept modules make room for them.
void Sequential::join_account() {
  leave_account();  // after a prepare() that threw
  if (limit_bytes_) setup_.account->add_limit(this, *limit_bytes_);
  setup_.account->add_reclaim(this, [this](std::size_t bytes) { return reclaim(bytes); });
}

void Sequential::leave_account() {
  setup_.account->remove_reclaim(this);
  setup_.account->remove_limit(this);
}

void Sequential::prepare() {
  if (prepared_) return;
  join_account();
  pool_.reserve(staging_need());
  for (WrappedModule& each : modules_) each.prepare();
  prepared_ = true;
}

void Sequential::finish() {
  setup_.device->compute().synchronize();
  for (WrappedModule& each : modules_) each.finish();
  pool_.clear();
  leave_account();
  prepared_ = false;
}

void Sequential::set_all(State state) {
  for (WrappedModule& each : modules_) {
    if (each.has_wrapper()) each.set_state(state);
  }
}

// Demotes kept modules, from the end of the network, until `bytes` are free.
std::size_t Sequential::reclaim(std::size_t bytes) {
  std::size_t given = 0;
  for (auto each = modules_.rbegin(); each != modules_.rend() && given < bytes; ++each) {
    const bool returns_to_host = each->plan().config.offload.place == Place::Host;
    if (each->state() != State::Keep || each->in_use() || !returns_to_host) continue;
    given += each->device_bytes();
    each->set_state(State::Offload);
    ++demotions_;
  }
  return given;
}

// Called before the first use of a wrapped module.
void Sequential::make_usable(WrappedModule& module) {
  const auto limit = setup_.account->limit();
  const Use use = decide_use({.state = module.state(),
                              .onload_is_computation = module.onload_is_computation(),
                              .has_limit = limit_bytes_.has_value(),
                              .fits = limit && setup_.account->now() + module.call_bytes() <= *limit});
  if (use == Use::Promote && module.promote()) {
    ++promotions_;
    return;
  }
  if (use != Use::Directly) module.cast();
}

void Sequential::begin(const model::PassKey&) {
  copies_.begin_pass();
  over_blocks_.push_back(false);
}

void Sequential::acquire_block(int) { over_blocks_.back() = true; }

std::span<const at::Tensor> Sequential::acquire(model::ModuleId id) {
  WrappedModule& found = module(id);
  if (found.is_host_only()) throw std::invalid_argument("a host-only module is asked for on the device");
  if (found.has_wrapper() && !found.in_use()) make_usable(found);
  return found.begin_use();
}

void Sequential::release(model::ModuleId id) { module(id).end_use(setup_.poison); }

void Sequential::describe(Report& report) const {
  report.type = StrategyKind::Sequential;
  report.copied_once_bytes = setup_link_.copied_bytes();
  report.ferried_bytes = call_link_.copied_bytes();
  const StreamTimes copies = copies_.times();
  report.copy_ms = report.exposed_copy_ms = copies.ms;
  report.exposed_ms_by_block = copies.ms_by_place;
  for (std::size_t i = 0; i < over_blocks_.size(); ++i) {
    if (over_blocks_[i]) report.exposed_ms_by_pass.push_back(copies.ms_by_pass[i]);
  }
  report.promotions = promotions_;
  report.demotions = demotions_;
}

std::unique_ptr<Strategy> make_sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup) {
  return std::make_unique<Sequential>(arena, plan, setup);
}

}  // namespace ferry::offload
