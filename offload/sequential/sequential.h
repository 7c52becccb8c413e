// `sequential`: module by module, with three states (docs/offloading.md).
//
//   state        where                                       what a forward does
//   offload (0)  offload_device, offload_dtype (the arena)   promote if vram_limit allows, else cast
//   onload  (1)  onload_device, onload_dtype                 use directly if that is what computes, else as 0
//   keep    (2)  the device, in the network's dtype          use directly
//
// A stage starts with every wrapped module in state offload.  Modules whose kind is not in module_map are
// not wrapped: they stay on the device for the stage.  All work is queued on the compute stream, so that a
// temporary copy can be used again as soon as its call is queued.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/stream_timer.h"
#include "offload/sequential/module_image.h"
#include "offload/sequential/sequential_state.h"
#include "offload/sequential/staging_pool.h"
#include "offload/stage.h"

namespace ferry::offload {

class Sequential final : public Strategy {
 public:
  Sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);
  ~Sequential() override;

  // Manual state control, of one module or of all that are wrapped.  Between forwards.
  // Throw std::invalid_argument for a module that is not wrapped or is in use; OutOfMemory.
  void offload(model::ModuleId id) { set_state(wrapped(id), State::Offload); }
  void onload(model::ModuleId id) { set_state(wrapped(id), State::Onload); }
  void keep(model::ModuleId id) { set_state(wrapped(id), State::Keep); }
  void offload() { set_all(State::Offload); }
  void onload() { set_all(State::Onload); }
  void keep() { set_all(State::Keep); }
  State state(model::ModuleId id) const;
  bool is_wrapped(model::ModuleId id) const { return entry(id).plan.wrapper != Wrapper::None; }

  void prepare() override;
  void finish() override;
  void begin(const model::PassKey& key) override;
  void acquire_block(int block) override;
  std::span<const at::Tensor> acquire(model::ModuleId id) override;
  void release(model::ModuleId id) override;
  bool takes_lora(model::ModuleId id) const override;
  void describe(Report& report) const override;

 private:
  struct HostCopy {  // an onload image on the host that is not the arena's
    std::vector<std::byte> memory;
    std::byte* data = nullptr;  // aligned
  };
  struct Entry {
    ModulePlan plan;
    bool host_only = false;
    Image stored;             // in the arena
    ModulePlace onload;       // dtypes of state onload
    ModulePlace computation;  // dtypes of the network
    bool onload_is_computation = false;
    State state = State::Offload;
    AccountedMemory memory;  // of an image on the device
    HostCopy host;
    std::vector<at::Tensor> views;  // of `memory`, where it can be used directly
    int users = 0;
    std::byte* temporary = nullptr;  // of the call in progress
    std::vector<at::Tensor> temporary_views;
  };
  Entry make_entry(const ModulePlan& plan) const;
  std::size_t index(model::ModuleId id) const;
  Entry& entry(model::ModuleId id) { return entries_[index(id)]; }
  const Entry& entry(model::ModuleId id) const { return entries_[index(id)]; }
  Entry& wrapped(model::ModuleId id);
  Image current_image(const Entry& entry) const;
  void set_state(Entry& entry, State state);
  void set_all(State state);
  void place(Entry& entry, State state);
  void to_device(Entry& entry, const ModulePlace& to, Category category, Link& link);
  void fetch(const Entry& entry, std::byte* target);
  void use(Entry& entry);
  bool promote(Entry& entry);
  void cast(Entry& entry);
  std::size_t reclaim(std::size_t bytes);
  std::size_t staging_need() const;

  NodeArena& arena_;
  StageSetup setup_;
  bool has_limit_;
  Link setup_link_;  // outside of calls
  Link link_;        // for calls
  StagingPool pool_;
  mutable StreamTimer copies_;     // that calls made, by block; head and tail count to their neighbours
  std::vector<bool> over_blocks_;  // each pass of copies_
  std::vector<Entry> entries_;     // in arena order
  bool prepared_ = false;
  std::uint64_t promotions_ = 0;
  std::uint64_t demotions_ = 0;
};

std::unique_ptr<Strategy> make_sequential(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
