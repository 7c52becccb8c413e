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

// Environment of a stage.  Everything it points to must outlive the stage.
struct StageSetup {
  Device* device = nullptr;
  DeviceAccount* account = nullptr;
  // Ranks that run this stage in lockstep; {} for a stage on one rank.
  parallel::Peers peers;
  // optional; those of them on this node, for transport `sharded`.
  parallel::Group* copy_sharers = nullptr;
  // optional; stream for the gather of shards: session.comm() for MPI groups, else a separate stream.
  Stream* gather_stream = nullptr;
  // Debugging: fills a slot with 0xFF (NaN in every float type) after its last use.
  bool poison = false;
  // For type `auto`: device memory to reserve for the stage's activations, and what the ways are predicted to
  // take; of the forecasts the first peer's counts.
  std::size_t activation_bytes = 0;
  Forecast forecast{};
  // optional; lanes copy and gather.
  Trace* trace = nullptr;
};

// Implementation of a strategy.  Calls come in the order checked by PassOrder.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual void prepare() = 0;
  virtual void finish() = 0;
  // Call after finish(): drops what it has left on the device; prepare() may follow.
  virtual void drop() {}
  virtual void begin(const model::PassKey&) {}
  virtual void end() {}
  virtual void acquire_block(int) {}
  virtual void release_block(int) {}
  // The tensors of a module, valid on the compute stream until its release.
  virtual std::span<const at::Tensor> acquire(model::ModuleId id) = 0;
  virtual void release(model::ModuleId) {}
  virtual parallel::ExchangeGate* exchange_gate() { return nullptr; }
  // True if additions to this linear are supported.
  virtual bool takes_lora(model::ModuleId) const { return true; }
  // Fills in the strategy's fields.
  virtual void describe(Report& report) const = 0;
};

class StageWeights final : public model::Weights {
 public:
  // `plan` must be decided, and `strategy` made for it.
  StageWeights(NodeArena& arena, StagePlan plan, const StageSetup& setup, std::unique_ptr<Strategy> strategy);

  // Starts the stage: allocates its device memory and copies the residents in.  Call before the first pass
  // each time the stage runs (else begin() does it); a second call has no effect.
  // Throws OutOfMemory.
  void prepare();
  // Ends the stage: waits for its last work, then frees what need not stay. prepare() may follow.
  void finish();
  // Call after finish(): also drops what `none` keeps on the device. prepare() may follow.
  void drop();
  // Sets additions to linears, by module name.  The tensors' device memory is the caller's, but counted here.
  // Throws std::invalid_argument for a name that is not a linear of the network, shapes that do not fit, or a
  // linear wrapped by AutoWrappedModule.
  void set_loras(std::map<std::string, model::Lora> loras);
  // optional; the network brackets its exchanges with it.
  parallel::ExchangeGate* exchange_gate() { return strategy_->exchange_gate(); }
  // As decided for this device: never Auto.
  const StagePlan& plan() const { return plan_; }
  // Statistics so far.
  Report report() const;
  // For manual control, which only some strategies have (docs/offloading.md) and the program does not use:
  // dynamic_cast to Async (async.h) or Sequential (sequential.h).
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

// Makes the strategy of `plan`, after resolving type auto for the device memory that is free now.
// Collective over setup.peers: the ranks decide alike and verify that they agree.
std::unique_ptr<StageWeights> make_stage(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
