// A module of a sequential stage: location and dtypes of its weights, and its state transitions
// (offload/sequential/sequential.h).  Sequential decides which state it should have.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/device.h"
#include "base/stream_timer.h"
#include "model/weights.h"
#include "offload/arena/arena.h"
#include "offload/device_account.h"
#include "offload/sequential/module_image.h"
#include "offload/sequential/sequential_plan.h"
#include "offload/sequential/sequential_state.h"
#include "offload/sequential/staging_pool.h"
#include "offload/transport/link.h"

namespace ferry::offload {

// Resources for moving the weights of a stage's modules.
struct ModuleCarrier {
  Device& device;
  DeviceAccount& account;
  StagingPool& pool;
  Link& setup_link;     // outside calls
  Link& call_link;      // for calls
  StreamTimer& copies;  // copies from the host in calls, by block; head and tail count to their neighbours
};

// All work is queued on the device's compute stream.
class WrappedModule {
 public:
  // `arena` and `carrier` must outlive this object.
  WrappedModule(NodeArena& arena, const ModulePlan& plan, const ModuleCarrier& carrier);

  const ModulePlan& plan() const { return plan_; }
  // Without a wrapper it stays on the device in the network's dtype, or on the host if host-only.
  bool has_wrapper() const { return plan_.wrapper != Wrapper::None; }
  bool is_host_only() const { return host_only_; }
  State state() const { return state_; }
  bool in_use() const { return users_ > 0; }
  // True if state onload is directly usable: on the device, in the network's dtype.
  bool onload_is_computation() const { return onload_is_computation_; }
  // Device bytes of its permanent image, excluding calls.
  std::size_t device_bytes() const { return memory_.bytes(); }
  // Maximum device bytes of a call: its result, and its copy before the cast.
  std::size_t call_bytes() const;

  // Called once when the stage starts: moves the weights to the location of the state.  Throws OutOfMemory.
  void prepare();
  // Called when the stage ends, after its last work is done: switches to state offload, with nothing on the
  // device.
  void finish();
  // Throws std::invalid_argument if it is in use; OutOfMemory.
  void set_state(State state);

  // Make the weights usable before a call; the module must not be in use. promote() switches to state keep,
  // and returns false if the device has no room; cast() makes a copy for this call and keeps the state.
  bool promote();
  void cast();

  // Returns the tensors to compute with.  Every use must end; the last end frees what cast() made, filling it
  // with 0xFF if `poison`.
  std::span<const at::Tensor> begin_use();
  void end_use(bool poison);

 private:
  struct HostCopy {  // an onload image in host memory outside the arena
    std::vector<std::byte> memory;
    std::byte* data = nullptr;  // aligned
  };
  Image current_image() const;
  void place(State state);
  void to_device(const ModulePlace& to, Category category);
  void fetch(std::byte* target);
  std::vector<at::Tensor> views_of(std::byte* data) const;

  ModulePlan plan_;
  const ModuleCarrier* carrier_;
  int timed_as_ = 0;  // index in carrier.copies
  bool host_only_ = false;
  Image stored_;             // in the arena
  ModulePlace onload_;       // dtypes of state onload
  ModulePlace computation_;  // dtypes of the network
  bool onload_is_computation_ = false;
  State state_ = State::Offload;
  AccountedMemory memory_;  // image on the device
  HostCopy host_;
  std::vector<at::Tensor> views_;  // of `memory_`, if directly usable
  int users_ = 0;
  std::byte* temporary_ = nullptr;  // for the call in progress
  std::vector<at::Tensor> temporary_views_;
};

}  // namespace ferry::offload
