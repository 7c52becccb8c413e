#include "offload/sequential/wrapped_module.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "base/error.h"
#include "model/tensor.h"
#include "offload/arena/views.h"

namespace ferry::offload {

namespace {

std::vector<DType> dtypes_for(const model::ModuleSpec& module, const ModulePlan& plan,
                              std::optional<DType> wanted, DType compute) {
  std::vector<DType> dtypes;
  for (const model::TensorSpec& tensor : module.tensors) {
    dtypes.push_back(held_dtype(tensor, plan.wrapper, wanted, compute));
  }
  return dtypes;
}

// A module of the arena as a separate image.
Image stored_image(const NodeArena& arena, model::ModuleId id) {
  Image image{.place = place_of(arena.layout(), id)};
  image.data = arena.at(blob_of(arena.layout(), id)) + image.place.offset;
  for (TensorPlace& tensor : image.place.tensors) tensor.offset -= image.place.offset;
  image.place.offset = 0;
  return image;
}

int neighbouring_block(const model::NetworkSpec& spec, model::ModuleId id) {
  const int last = static_cast<int>(spec.blocks.size()) - 1;
  return id.block == model::ModuleId::kTail ? last : std::max(id.block, 0);
}

}  // namespace

WrappedModule::WrappedModule(NodeArena& arena, const ModulePlan& plan, const ModuleCarrier& carrier)
    : plan_(plan),
      carrier_(&carrier),
      timed_as_(neighbouring_block(arena.spec(), plan.id)),
      stored_(stored_image(arena, plan.id)) {
  const model::ModuleSpec& module = model::module_of(arena.spec(), plan.id);
  const DType compute = arena.spec().compute;
  host_only_ = module.host_only;
  onload_ = image_place(module, dtypes_for(module, plan, plan.config.onload.dtype, compute));
  computation_ = image_place(module, dtypes_for(module, plan, std::nullopt, compute));
  onload_is_computation_ = plan.config.onload.place == Place::Device && same_dtypes(onload_, computation_);
}

std::size_t WrappedModule::call_bytes() const {
  return computation_.bytes + staging_bytes(stored_, computation_);
}

std::vector<at::Tensor> WrappedModule::views_of(std::byte* data) const {
  return make_views(computation_, data, model::torch_device(carrier_->device));
}

void WrappedModule::prepare() {
  if (memory_ || host_only_) return;
  if (!has_wrapper()) return to_device(computation_, Category::Resident);
  if (state_ == State::Offload) place(State::Offload);
}

void WrappedModule::finish() {
  state_ = State::Offload;
  users_ = 0;
  temporary_ = nullptr;
  temporary_views_.clear();
  views_.clear();
  memory_ = AccountedMemory();
  host_ = HostCopy();
}

Image WrappedModule::current_image() const {
  if (memory_) {
    const ModulePlace& place = state_ == State::Keep     ? computation_
                               : state_ == State::Onload ? onload_
                                                         : stored_.place;
    return {.place = place, .where = Place::Device, .data = memory_.data()};
  }
  if (host_.data != nullptr) return {.place = onload_, .where = Place::Host, .data = host_.data};
  return stored_;
}

// Allocates device memory laid out as `to` and fills it from the arena.
void WrappedModule::to_device(const ModulePlace& to, Category category) {
  Device& device = carrier_->device;
  memory_ = AccountedMemory(device, carrier_->account, category, to.bytes);
  bring(stored_, to, memory_.data(), device.compute(), carrier_->setup_link, carrier_->pool);
  if (same_dtypes(to, computation_)) views_ = make_views(to, memory_.data(), model::torch_device(device));
}

// Moves the weights to the location of `state`.
void WrappedModule::place(State state) {
  const ModuleConfig& config = plan_.config;
  state_ = state;
  if (state == State::Keep) return to_device(computation_, Category::Keep);
  if (state == State::Offload) {
    if (config.offload.place == Place::Device) to_device(stored_.place, Category::Resident);
    return;
  }
  if (config.onload.place == Place::Device) return to_device(onload_, Category::Keep);
  if (same_dtypes(onload_, stored_.place)) return;
  host_.memory.resize(onload_.bytes + kTensorAlign);
  const auto start = reinterpret_cast<std::uintptr_t>(host_.memory.data());
  host_.data = host_.memory.data() + (round_up(start, kTensorAlign) - start);
  convert_on_host(stored_, onload_, host_.data);
}

void WrappedModule::set_state(State state) {
  if (in_use()) throw std::invalid_argument("a module in use changes its state");
  if (state_ == state) return;
  if (memory_) carrier_->device.compute().synchronize();
  views_.clear();
  memory_ = AccountedMemory();
  host_ = HostCopy();
  place(state);
}

// Queues the work that fills `target` with the image for computing.
void WrappedModule::fetch(std::byte* target) {
  const Image from = current_image();
  const bool from_host = from.where == Place::Host;
  Stream& compute = carrier_->device.compute();
  if (from_host) carrier_->copies.begins(timed_as_, compute);
  bring(from, computation_, target, compute, carrier_->call_link, carrier_->pool);
  if (from_host) carrier_->copies.ends(compute);
}

bool WrappedModule::promote() {
  try {
    AccountedMemory memory(carrier_->device, carrier_->account, Category::Keep, computation_.bytes);
    fetch(memory.data());
    if (memory_) carrier_->device.compute().synchronize();
    memory_ = std::move(memory);
  } catch (const OutOfMemory&) {
    return false;
  }
  host_ = HostCopy();
  state_ = State::Keep;
  views_ = views_of(memory_.data());
  return true;
}

void WrappedModule::cast() {
  std::byte* data = carrier_->pool.take(computation_.bytes);
  fetch(data);
  // The pool returns the same ranges in every pass, so these views usually exist already.
  if (temporary_views_.empty() || temporary_views_[0].data_ptr() != data) temporary_views_ = views_of(data);
  temporary_ = data;
}

std::span<const at::Tensor> WrappedModule::begin_use() {
  ++users_;
  return temporary_ != nullptr ? temporary_views_ : views_;
}

void WrappedModule::end_use(bool poison) {
  if (--users_ > 0 || temporary_ == nullptr) return;
  if (poison) carrier_->device.compute().fill(temporary_, 0xFF, computation_.bytes);
  carrier_->pool.give(temporary_);
  temporary_ = nullptr;
}

}  // namespace ferry::offload
