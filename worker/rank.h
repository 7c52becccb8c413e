// Resources of one rank: its device, its place in the mesh, its communicators.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/device.h"
#include "base/error.h"
#include "base/host/memory_use.h"
#include "base/trace.h"
#include "model/dit/dit.h"
#include "model/kernels/attention.h"
#include "offload/device_account.h"
#include "offload/stage.h"
#include "parallel/groups.h"
#include "parallel/mesh.h"
#include "parallel/mpi/session.h"
#include "worker/counted_device.h"
#include "worker/janitor.h"
#include "worker/planner/run_rates.h"
#include "worker/role.h"
#include "worker/spin_limit.h"
#include "worker/weights/host_account.h"

namespace ferry::worker {

// A lack of memory, with all that a stage has to say of it.
class Explained : public OutOfMemory {
 public:
  explicit Explained(const std::string& what) : OutOfMemory(what) {}
};

struct Rank {
  parallel::Session* session = nullptr;
  std::unique_ptr<CountedDevice> device;
  parallel::Mesh mesh;
  parallel::Groups groups;
  offload::DeviceAccount account;
  HostAccount host_account;
  std::unique_ptr<Stream> own_exchange_stream;  // on a GPU; on the CPU the session's thread is used
  std::unique_ptr<Trace> trace;                 // nullptr unless requested
  model::kernels::Attention attention;          // for the DiT; LibTorch's choice until set
  RunRates rates;                               // for offload type auto
  // While groups of ranks work apart: bytes of the host copies that all use, and the host's memory beside
  // them when all groups were idle.
  ByRole<std::size_t> held{};
  std::optional<HostMemory> idle_host;
  SpinLimit spin_limit;
  // Reports a failure of this rank alone, and does not return; see speak_first().  Empty: nobody listens.
  std::function<void(const std::exception&)> failed;
  // What to say of a failure instead of its own words; empty: nothing better is known.  Set by a stage
  // (worker/weights/device_full.h).
  std::function<std::string(const std::exception&)> explain;
  std::size_t others_at_start = 0;  // device memory of libraries and other processes when it was made
  Janitor janitor;                  // last: it frees things used with the device

  bool is_first() const { return session->rank() == 0; }
  // Backend of the exchanges or, if ranks exchange none, of the branches' group.
  const std::string& backend() const {
    return (groups.ulysses->size() > 1 ? groups.ulysses : groups.data_root)->backend();
  }
  bool on_gpu() const { return device->type() == DeviceType::Cuda; }
  parallel::Ticks& ticks() const { return session->ticks(); }
  // Begins a stage for the watchdogs of all ranks; notes memory.
  void begin(parallel::Stage stage) const;
  // Notes how much of a GPU's memory is free, for reports.
  void note_memory() const;
  // Blocks until `event` is done, which may need the other ranks.  Throws NcclError if a group has failed,
  // and Error some time after the deadline, before which the watchdog acts.  `at_look` as in
  // parallel::wait_for.
  void wait_for(const Event& event, const std::function<bool()>& at_look = {}) const;

  // Lets `failed` hear of `error`, in the words of `explain` where that has some; then returns them.
  std::optional<Explained> report(const std::exception& error) const;

  // Joins `mesh`, as given by make_mesh, with groups whose exchanges go as `exchange` says; nothing may use
  // the groups of another mesh any longer.  Collective over the world.
  void join(const parallel::Mesh& mesh, parallel::ExchangeBy exchange);

  // Stream of activation exchanges; on the CPU the session's thread.
  Stream& exchange_stream() { return on_gpu() ? *own_exchange_stream : session->comm(); }
  // Runtime of a DiT; `gate` (optional) is notified of its exchanges.
  model::DitRuntime dit_runtime(DType compute, parallel::ExchangeGate* gate = nullptr);
  // Setup of a stage that all ranks compute in lockstep, and of one that this rank computes alone.
  offload::StageSetup stage_setup();
  offload::StageSetup single_rank_stage_setup();
};

// Runs `work`.  If it fails on this rank alone, with anything but UserError, RunFailure and Stopped,
// rank.failed speaks before what is outside of `work` is destroyed: destructors wait for the device, which
// may wait for other ranks.  What rank.explain has to say is said, and thrown as Explained.
void speak_first(const Rank& rank, const std::function<void()>& work);

// The device of `name`: cpu, cuda, or auto, which is cuda if every rank sees a GPU. Collective over the
// world.  Throws UserError on every rank: another name, no GPU, more ranks than GPUs on a node.
std::unique_ptr<Device> make_device(const std::string& name, parallel::Session& session);

// Makes a rank that has yet to join a mesh.
std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, parallel::Session& session);
// As above, and joins `mesh`.  Collective over the world.
std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, const parallel::Mesh& mesh,
                                parallel::ExchangeBy exchange, parallel::Session& session);

}  // namespace ferry::worker
