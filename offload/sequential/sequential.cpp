#include "offload/sequential/sequential.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "base/error.h"
#include "model/tensor.h"

namespace ferry::offload {

namespace {

constexpr int kPasses = 3;  // that copies are timed for before their events are used again

int modules_of(const model::NetworkSpec& spec) { return static_cast<int>(all_modules(spec).size()); }

std::vector<DType> dtypes_for(const model::ModuleSpec& module, const ModulePlan& plan,
                              std::optional<DType> wanted, DType compute) {
  std::vector<DType> dtypes;
  for (const model::TensorSpec& tensor : module.tensors) {
    dtypes.push_back(held_dtype(tensor, plan.wrapper, wanted, compute));
  }
  return dtypes;
}

// A module of the arena as an image of its own.
Image stored_image(const NodeArena& arena, model::ModuleId id) {
  Image image{.place = place_of(arena.layout(), id)};
  image.data = arena.at(blob_of(arena.layout(), id)) + image.place.offset;
  for (TensorPlace& tensor : image.place.tensors) tensor.offset -= image.place.offset;
  image.place.offset = 0;
  return image;
}

}  // namespace

Sequential::Sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup)
    : arena_(arena),
      setup_(setup),
      has_limit_(plan.limit_bytes.has_value()),
      setup_link_(plan.link_gbps, chunk_bytes(setup.device->type())),
      link_(plan.link_gbps, chunk_bytes(setup.device->type())),
      pool_(*setup.device, *setup.account),
      copies_(*setup.device, static_cast<int>(arena.spec().blocks.size()),
              kPasses * modules_of(arena.spec())) {
  for (const ModulePlan& module : plan.modules) entries_.push_back(make_entry(module));
  if (has_limit_) setup_.account->add_limit(this, *plan.limit_bytes);
  setup_.account->add_reclaim(this, [this](std::size_t bytes) { return reclaim(bytes); });
}

Sequential::~Sequential() {
  setup_.account->remove_reclaim(this);
  setup_.account->remove_limit(this);
  try {
    finish();
  } catch (...) {  // the error was thrown where it mattered
  }
}

Sequential::Entry Sequential::make_entry(const ModulePlan& plan) const {
  const model::ModuleSpec& module = model::module_of(arena_.spec(), plan.id);
  const DType compute = arena_.spec().compute;
  Entry entry;
  entry.plan = plan;
  entry.host_only = module.host_only;
  entry.stored = stored_image(arena_, plan.id);
  entry.onload = image_place(module, dtypes_for(module, plan, plan.config.onload.dtype, compute));
  entry.computation = image_place(module, dtypes_for(module, plan, std::nullopt, compute));
  entry.onload_is_computation =
      plan.config.onload.place == Place::Device && same_dtypes(entry.onload, entry.computation);
  return entry;
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

Sequential::Entry& Sequential::wrapped(model::ModuleId id) {
  Entry& found = entry(id);
  if (found.plan.wrapper == Wrapper::None) {
    throw std::invalid_argument(model::module_of(arena_.spec(), id).name + " is not wrapped");
  }
  return found;
}

State Sequential::state(model::ModuleId id) const {
  if (!is_wrapped(id))
    throw std::invalid_argument(model::module_of(arena_.spec(), id).name + " is not wrapped");
  return entry(id).state;
}

bool Sequential::takes_lora(model::ModuleId id) const {
  return entry(id).plan.wrapper != Wrapper::AutoWrappedModule;
}

// Of the largest call: its result, and its copy before the cast.
std::size_t Sequential::staging_need() const {
  std::size_t most = 0;
  for (const Entry& each : entries_) {
    if (each.plan.wrapper == Wrapper::None) continue;
    most = std::max(most, each.computation.bytes + staging_bytes(each.stored, each.computation));
  }
  return most;
}

void Sequential::prepare() {
  if (prepared_) return;
  pool_.reserve(staging_need());
  for (Entry& each : entries_) {
    if (each.memory || each.host_only) continue;
    if (each.plan.wrapper != Wrapper::None) {
      if (each.state == State::Offload) place(each, State::Offload);
    } else {
      to_device(each, each.computation, Category::Resident, setup_link_);
    }
  }
  prepared_ = true;
}

void Sequential::finish() {
  setup_.device->compute().synchronize();
  for (Entry& each : entries_) {
    each.state = State::Offload;
    each.users = 0;
    each.temporary = nullptr;
    each.temporary_views.clear();
    each.views.clear();
    each.memory = AccountedMemory();
    each.host = HostCopy();
  }
  pool_.clear();
  prepared_ = false;
}

Image Sequential::current_image(const Entry& entry) const {
  const bool onload = entry.state == State::Onload;
  if (entry.memory) {
    const ModulePlace& place = entry.state == State::Keep ? entry.computation
                               : onload                   ? entry.onload
                                                          : entry.stored.place;
    return {.place = place, .where = Place::Device, .data = entry.memory.data()};
  }
  if (entry.host.data != nullptr)
    return {.place = entry.onload, .where = Place::Host, .data = entry.host.data};
  return entry.stored;
}

// Device memory for the entry's image in `to`, made from what the arena has.
void Sequential::to_device(Entry& entry, const ModulePlace& to, Category category, Link& link) {
  Device& device = *setup_.device;
  entry.memory = AccountedMemory(device, *setup_.account, category, to.bytes);
  bring(entry.stored, to, entry.memory.data(), device.compute(), link, pool_);
  if (same_dtypes(to, entry.computation)) {
    entry.views = make_views(to, entry.memory.data(), model::torch_device(device));
  }
}

// Brings the entry's weights to where `state` wants them.
void Sequential::place(Entry& entry, State state) {
  const ModuleConfig& config = entry.plan.config;
  entry.state = state;
  if (state == State::Keep) return to_device(entry, entry.computation, Category::Keep, setup_link_);
  if (state == State::Offload) {
    if (config.offload.place == Place::Device) {
      to_device(entry, entry.stored.place, Category::Resident, setup_link_);
    }
    return;
  }
  if (config.onload.place == Place::Device)
    return to_device(entry, entry.onload, Category::Keep, setup_link_);
  if (same_dtypes(entry.onload, entry.stored.place)) return;
  entry.host.memory.resize(entry.onload.bytes + kTensorAlign);
  const auto start = reinterpret_cast<std::uintptr_t>(entry.host.memory.data());
  entry.host.data = entry.host.memory.data() + (round_up(start, kTensorAlign) - start);
  convert_on_host(entry.stored, entry.onload, entry.host.data);
}

void Sequential::set_state(Entry& entry, State state) {
  if (entry.users > 0) throw std::invalid_argument("a module in use changes its state");
  if (entry.state == state) return;
  if (entry.memory) setup_.device->compute().synchronize();
  entry.views.clear();
  entry.memory = AccountedMemory();
  entry.host = HostCopy();
  place(entry, state);
}

void Sequential::set_all(State state) {
  for (Entry& each : entries_) {
    if (each.plan.wrapper != Wrapper::None) set_state(each, state);
  }
}

// Forgets kept modules, the last of the network first, until `bytes` are free.
std::size_t Sequential::reclaim(std::size_t bytes) {
  std::size_t given = 0;
  for (auto each = entries_.rbegin(); each != entries_.rend() && given < bytes; ++each) {
    const bool returns_to_host = each->plan.config.offload.place == Place::Host;
    if (each->state != State::Keep || each->users > 0 || !returns_to_host) continue;
    given += each->memory.bytes();
    set_state(*each, State::Offload);
    ++demotions_;
  }
  return given;
}

// Queues what makes `target` the entry's image for computing.
void Sequential::fetch(const Entry& entry, std::byte* target) {
  const Image from = current_image(entry);
  const bool from_host = from.where == Place::Host;
  Stream& compute = setup_.device->compute();
  const int last = static_cast<int>(arena_.spec().blocks.size()) - 1;
  const int block = entry.plan.id.block == model::ModuleId::kTail ? last : std::max(entry.plan.id.block, 0);
  if (from_host) copies_.begins(block, compute);
  bring(from, entry.computation, target, compute, link_, pool_);
  if (from_host) copies_.ends(compute);
}

bool Sequential::promote(Entry& entry) {
  try {
    AccountedMemory memory(*setup_.device, *setup_.account, Category::Keep, entry.computation.bytes);
    fetch(entry, memory.data());
    if (entry.memory) setup_.device->compute().synchronize();
    entry.memory = std::move(memory);
  } catch (const OutOfMemory&) {
    return false;
  }
  entry.host = HostCopy();
  entry.state = State::Keep;
  entry.views = make_views(entry.computation, entry.memory.data(), model::torch_device(*setup_.device));
  ++promotions_;
  return true;
}

void Sequential::cast(Entry& entry) {
  std::byte* data = pool_.take(entry.computation.bytes);
  fetch(entry, data);
  // The pool hands out the same places in every pass, so these views are usually there already.
  if (entry.temporary_views.empty() || entry.temporary_views[0].data_ptr() != data) {
    entry.temporary_views = make_views(entry.computation, data, model::torch_device(*setup_.device));
  }
  entry.temporary = data;
}

void Sequential::use(Entry& entry) {
  const auto limit = setup_.account->limit();
  const Situation situation{.state = entry.state,
                            .onload_is_computation = entry.onload_is_computation,
                            .has_limit = has_limit_,
                            .fits = limit && setup_.account->now() + entry.computation.bytes +
                                                     staging_bytes(entry.stored, entry.computation) <=
                                                 *limit};
  const Use use = use_of(situation);
  if (use == Use::Promote && promote(entry)) return;
  if (use != Use::Directly) cast(entry);
}

void Sequential::begin(const model::PassKey&) {
  copies_.begin_pass();
  over_blocks_.push_back(false);
}

void Sequential::acquire_block(int) { over_blocks_.back() = true; }

std::span<const at::Tensor> Sequential::acquire(model::ModuleId id) {
  Entry& found = entry(id);
  if (found.host_only) throw std::invalid_argument("a host-only module is asked for on the device");
  if (found.plan.wrapper != Wrapper::None && found.users == 0) use(found);
  ++found.users;
  return found.temporary != nullptr ? found.temporary_views : found.views;
}

void Sequential::release(model::ModuleId id) {
  Entry& found = entry(id);
  if (--found.users > 0 || found.temporary == nullptr) return;
  if (setup_.poison) setup_.device->compute().fill(found.temporary, 0xFF, found.computation.bytes);
  pool_.give(found.temporary);
  found.temporary = nullptr;
}

void Sequential::describe(Report& report) const {
  report.type = StrategyKind::Sequential;
  report.copied_once_bytes = setup_link_.copied_bytes();
  report.ferried_bytes = link_.copied_bytes();
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
