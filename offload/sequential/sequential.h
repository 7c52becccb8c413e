// `sequential`: module by module, with three states (docs/offloading.md).
//
//   state        location and dtype                          in a forward
//   offload (0)  offload_device, offload_dtype (the arena)   promote if vram_limit allows, else cast
//   onload  (1)  onload_device, onload_dtype                 use directly if it equals computation, else as 0
//   keep    (2)  the device, in the network's dtype          use directly
//
// A stage starts with all wrapped modules in state offload.  Modules whose kind is not in module_map are not
// wrapped: they stay on the device for the stage.  All work is queued on the compute stream, so that a
// temporary copy can be reused once its call is queued. wrapped_module.h moves the weights; this class
// decides which modules are promoted, and which give up their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/stream_timer.h"
#include "offload/sequential/sequential_state.h"
#include "offload/sequential/staging_pool.h"
#include "offload/sequential/wrapped_module.h"
#include "offload/stage.h"
#include "offload/transport/link.h"

namespace ferry::offload {

class Sequential final : public Strategy {
 public:
  Sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);
  ~Sequential() override;

  // Manual state control, of one module or of all wrapped ones.  Call between forwards.
  // Throw std::invalid_argument for a module that is not wrapped or is in use; OutOfMemory.
  void offload(model::ModuleId id) { wrapped(id).set_state(State::Offload); }
  void onload(model::ModuleId id) { wrapped(id).set_state(State::Onload); }
  void keep(model::ModuleId id) { wrapped(id).set_state(State::Keep); }
  void offload() { set_all(State::Offload); }
  void onload() { set_all(State::Onload); }
  void keep() { set_all(State::Keep); }
  State state(model::ModuleId id) const { return modules_[wrapped_index(id)].state(); }
  bool is_wrapped(model::ModuleId id) const { return module(id).has_wrapper(); }

  void prepare() override;
  void finish() override;
  void begin(const model::PassKey& key) override;
  void acquire_block(int block) override;
  std::span<const at::Tensor> acquire(model::ModuleId id) override;
  void release(model::ModuleId id) override;
  bool takes_lora(model::ModuleId id) const override;
  void describe(Report& report) const override;

 private:
  std::size_t index(model::ModuleId id) const;
  WrappedModule& module(model::ModuleId id) { return modules_[index(id)]; }
  const WrappedModule& module(model::ModuleId id) const { return modules_[index(id)]; }
  std::size_t wrapped_index(model::ModuleId id) const;
  WrappedModule& wrapped(model::ModuleId id) { return modules_[wrapped_index(id)]; }
  void set_all(State state);
  void make_usable(WrappedModule& module);
  std::size_t reclaim(std::size_t bytes);
  void join_account();
  void leave_account();
  std::size_t staging_need() const;

  NodeArena& arena_;
  StageSetup setup_;
  std::optional<std::size_t> limit_bytes_;
  Link setup_link_;
  Link call_link_;
  StagingPool pool_;
  mutable StreamTimer copies_;
  std::vector<bool> over_blocks_;  // per pass of copies_
  ModuleCarrier carrier_;
  std::vector<WrappedModule> modules_;  // in arena order
  bool prepared_ = false;
  std::uint64_t promotions_ = 0;
  std::uint64_t demotions_ = 0;
};

std::unique_ptr<Strategy> make_sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
