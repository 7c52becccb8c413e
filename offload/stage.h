// The weights of one stage (dit, vae, text_encoder) under one strategy.
//
//   none        all on the device from prepare() until drop(); on the CPU the arena itself, in place
//   model       the whole stage is copied in by prepare() and dropped by finish(), never copied back
//   async       offload/async/async.h
//   sequential  offload/sequential/sequential.h
//
// One thread per rank calls a stage, the one that computes.  A strategy moves bytes and never changes a
// result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/device.h"
#include "base/trace.h"
#include "model/weights.h"
#include "offload/arena/arena.h"
#include "offload/arena/views.h"
#include "offload/device_account.h"
#include "offload/pass_order.h"
#include "offload/plan.h"
#include "offload/report.h"
#include "parallel/exchange_gate.h"
#include "parallel/group.h"
#include "parallel/peers.h"

namespace ferry::offload {

// Where a stage runs.  What it points to outlives the stage.
struct StageSetup {
  Device* device = nullptr;
  DeviceAccount* account = nullptr;
  // The ranks that run this stage in step; {} for a stage that runs on one rank.
  parallel::Peers peers;
  // The ranks of this node among them, for transport `sharded`; nullptr: this rank alone.
  parallel::Group* copy_sharers = nullptr;
  // The stream for the shards' gather: session.comm() for MPI groups; nullptr: a stream of its own.
  Stream* gather_stream = nullptr;
  // Debugging: bytes of a slot that has been used for the last time become 0xFF (NaN in every float type).
  bool poison = false;
  // For type `auto`: device memory that the stage's activations will want.
  std::size_t activation_bytes = 0;
  // Lanes copy and gather; nullptr: no trace.
  Trace* trace = nullptr;
};

// What a strategy does when its stage asks.  Calls come in the order that PassOrder checked.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual void prepare() = 0;
  virtual void finish() = 0;
  // After finish(): drops what that has left on the device; prepare() may follow.
  virtual void drop() {}
  virtual void begin(const model::PassKey&) {}
  virtual void end() {}
  virtual void acquire_block(int) {}
  virtual void release_block(int) {}
  // The tensors of a module, valid on the compute stream until its release.
  virtual std::span<const at::Tensor> acquire(model::ModuleId id) = 0;
  virtual void release(model::ModuleId) {}
  virtual parallel::ExchangeGate* exchange_gate() { return nullptr; }
  // Whether additions to this linear can be applied.
  virtual bool takes_lora(model::ModuleId) const { return true; }
  // Fills in what it knows.
  virtual void describe(Report& report) const = 0;
};

class StageWeights final : public model::Weights {
 public:
  // `plan` is decided, and `strategy` was made for it.
  StageWeights(NodeArena& arena, StagePlan plan, const StageSetup& setup, std::unique_ptr<Strategy> strategy);

  // The stage starts: its device memory is taken, what is resident is copied in.  Before the first pass of
  // each time the stage runs (begin() does it otherwise); a second call changes nothing.
  // Throws OutOfMemory.
  void prepare();
  // The stage ends: waits for its last work, then drops what need not stay.  prepare() may follow.
  void finish();
  // After finish(): drops what `none` keeps on the device as well.  prepare() may follow.
  void drop();
  // Additions to linears, by module name.  The tensors' device memory is the caller's, counted here.
  // Throws std::invalid_argument for a name that is not a linear of the network, shapes that do not fit, or a
  // linear that is wrapped by AutoWrappedModule.
  void set_loras(std::map<std::string, model::Lora> loras);
  // The network brackets its exchanges with this; nullptr: it need not.
  parallel::ExchangeGate* exchange_gate() { return strategy_->exchange_gate(); }
  // As it was decided for this device: never Auto.
  const StagePlan& plan() const { return plan_; }
  // What has been done so far.
  Report report() const;
  // For control by hand, which only some strategies have (docs/offloading.md) and the program itself does not
  // use: dynamic_cast to Async (async.h) or Sequential (sequential.h).
  Strategy& strategy() { return *strategy_; }

  const model::NetworkSpec& spec() const override { return arena_.spec(); }
  void begin(const model::PassKey& key) override;
  void end() override;
  void acquire_block(int block) override;
  void release_block(int block) override;
  model::ModuleView acquire(model::ModuleId id) override;
  void release(model::ModuleId id) override;
  std::span<const at::Tensor> on_host(model::ModuleId id) override { return host_[id]; }

 private:
  NodeArena& arena_;
  StagePlan plan_;
  PassOrder order_;
  HostViews host_;
  Loras loras_;
  std::unique_ptr<Strategy> strategy_;
  std::uint64_t passes_ = 0;
};

// Makes the strategy of `plan`, after deciding what type auto becomes for the device memory that is free now.
// Collective over setup.peers: the ranks decide alike and check that they agree.
std::unique_ptr<StageWeights> make_stage(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
