// A module of a sequential stage: where its weights are, in which dtypes, and the way between its states
// (offload/sequential/sequential.h).  Which state it should have is Sequential's business.
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

// What carries the weights of a stage's modules.
struct ModuleCarrier {
  Device& device;
  DeviceAccount& account;
  StagingPool& pool;
  Link& setup_link;     // outside of calls
  Link& call_link;      // for calls
  StreamTimer& copies;  // that calls make from the host, by block; head and tail count to their neighbours
};

// All work is queued on the device's compute stream.
class WrappedModule {
 public:
  // `arena` and `carrier` outlive this.
  WrappedModule(NodeArena& arena, const ModulePlan& plan, const ModuleCarrier& carrier);

  const ModulePlan& plan() const { return plan_; }
  // Without one it stays on the device in the network's dtype, or on the host by the network's wish.
  bool has_wrapper() const { return plan_.wrapper != Wrapper::None; }
  bool is_host_only() const { return host_only_; }
  State state() const { return state_; }
  bool in_use() const { return users_ > 0; }
  // State onload is what a call computes with: on the device, in the network's dtype.
  bool onload_is_computation() const { return onload_is_computation_; }
  // Of its image on the device that is not of one call.
  std::size_t device_bytes() const { return memory_.bytes(); }
  // What a call takes at most: its result, and its copy before the cast.
  std::size_t call_bytes() const;

  // The stage starts: the weights come to where the state wants them, once.  Throws OutOfMemory.
  void prepare();
  // The stage ends: state offload, with nothing on the device.  Its last work is done.
  void finish();
  // Throws std::invalid_argument when it is in use; OutOfMemory.
  void set_state(State state);

  // Before a call of a module that is not in use, either makes its weights what computes: promote() for good,
  // as state keep, or false where the device has no room; cast() for this call, the state stays.
  bool promote();
  void cast();

  // What computes.  Every use ends; the last one gives back what cast() made, its bytes 0xFF with `poison`.
  std::span<const at::Tensor> begin_use();
  void end_use(bool poison);

 private:
  struct HostCopy {  // an onload image on the host that is not the arena's
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
  int timed_as_ = 0;  // place in carrier.copies
  bool host_only_ = false;
  Image stored_;             // in the arena
  ModulePlace onload_;       // dtypes of state onload
  ModulePlace computation_;  // dtypes of the network
  bool onload_is_computation_ = false;
  State state_ = State::Offload;
  AccountedMemory memory_;  // of an image on the device
  HostCopy host_;
  std::vector<at::Tensor> views_;  // of `memory_`, where it can be used directly
  int users_ = 0;
  std::byte* temporary_ = nullptr;  // of the call in progress
  std::vector<at::Tensor> temporary_views_;
};

}  // namespace ferry::offload
