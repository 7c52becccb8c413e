// `async`: blocks are ferried ahead of the one that computes (docs/offloading.md).
//
//   block 0:  [copy][compute]
//   block 1:        [copy]   [compute]
//   block 2:                 [copy]   [compute]
//
// Head, tail and the resident blocks stay on the device for the stage; the others pass through
// min(prefetch_size + 1, offloaded) slots.  A forward allocates no device memory, creates no event, and does
// not block the host on the device (except, with transport `sharded`, until NCCL has launched each gather;
// and, while parts are not page-locked yet or the device has refused, for their copies).  While the share is
// not settled, the host waits between the first forwards for the previous one.
#pragma once

#include <memory>
#include <optional>

#include "offload/async/auto_share.h"
#include "offload/async/ferrying.h"
#include "offload/async/gaps.h"
#include "offload/async/gate.h"
#include "offload/stage.h"
#include "offload/transport/meter.h"
#include "offload/transport/resident.h"

namespace ferry::offload {

// How blocks reach the ranks, from the stage's plan and from measurements; the same on every rank.
struct AsyncPlan {
  Sharing sharing{};  // share 0: transport full
  std::optional<AutoSharePlan>
      open{};  // if set, `sharing` is only the first share: passes are compared (auto_share.h)
  Interleave interleave = Interleave::Free;  // not Auto
  bool gate_by_events = false;               // implementation of Gated: EventGate as on a GPU, else HostGate
  std::size_t slice_bytes = kSliceBytes;
};

class Async final : public Strategy, private parallel::ExchangeGate {
 public:
  // Allocates the slots unless stage.lazy_slots.
  Async(NodeArena& arena, const StagePlan& stage, const StageSetup& setup, AsyncPlan plan);
  ~Async() override;

  // The four functions below are called between forwards, on every rank that runs the stage; inside a forward
  // they throw std::invalid_argument.

  // Allocates the slots' device memory now.  Throws OutOfMemory.
  void allocate_gpu_cache();
  // Frees it; the next forward allocates it again.
  void cleanup_gpu_cache();
  // Copies every block to the device and stops ferrying.
  void disable_offload();
  // Resumes ferrying.
  void enable_offload();
  bool cache_allocated() const { return ferrying_.has_slots(); }

  void prepare() override;
  void finish() override;
  void begin(const model::PassKey& key) override;
  void end() override;
  void acquire_block(int block) override;
  void release_block(int block) override;
  std::span<const at::Tensor> acquire(model::ModuleId id) override;
  void release(model::ModuleId id) override;
  parallel::ExchangeGate* exchange_gate() override { return this; }
  void describe(Report& report) const override;

 private:
  void soon(Stream& compute, int exchanges) override;
  void before(Stream& exchange_stream) override;
  void after(Stream& exchange_stream) override;
  void close_room(Stream& stream);
  // True while passes are compared.
  bool compares() const { return auto_ && enabled_ && !auto_->settled(); }
  bool ferries(int block) const {
    return enabled_ && block >= 0 && offloaded_[static_cast<std::size_t>(block)];
  }
  void require_between_forwards(const char* what) const;
  void drop_slots();
  parallel::Group* slot_group() const;
  std::vector<Slot> new_slots();
  FerryingPlan ferrying_plan(const StageSetup& setup) const;

  NodeArena& arena_;
  StageSetup setup_;
  Residency residency_;
  AsyncPlan plan_;
  bool lazy_;
  std::vector<bool> offloaded_;    // indexed by block
  std::vector<int> exchanges_of_;  // likewise: in the last pass; branches share those of the first block
  std::unique_ptr<Stream> copy_stream_;
  std::unique_ptr<Stream> own_gather_stream_;
  std::unique_ptr<HostGate> host_gate_;
  std::unique_ptr<EventGate> event_gate_;
  std::unique_ptr<StreamGate> room_;  // closed to gathers while exchanges need the copy engine between GPUs
  std::unique_ptr<Gaps> gap_shares_;  // only with event_gate_
  Link setup_link_;                   // for residents, on the compute stream
  Link link_;                         // for slots, on the copy stream
  mutable Meter meter_;
  Resident resident_;
  Ferrying ferrying_;
  std::unique_ptr<AutoShare> auto_;  // only while the share is open
  bool enabled_ = true;
  bool prepared_ = false;
  bool running_ = false;
  bool room_closed_ = false;
  Stream* exchange_stream_ = nullptr;  // of the last exchange; outlives this
  int expected_ = 0;                   // announced exchanges still to come
  int block_ = 0;                      // the current one
  int exchanges_ = 0;                  // in it
};

// Resolves Auto settings of `stage` and agrees with the peers.  Collective over setup.peers.
std::unique_ptr<Strategy> make_async(NodeArena& arena, const StagePlan& stage, const StageSetup& setup);

}  // namespace ferry::offload
