// What one rank works with: its device, its place in the mesh, its communicators.
#pragma once

#include <memory>
#include <string>

#include "base/device.h"
#include "base/trace.h"
#include "model/dit/dit.h"
#include "model/kernels/attention.h"
#include "offload/device_account.h"
#include "offload/stage.h"
#include "parallel/groups.h"
#include "parallel/mesh.h"
#include "parallel/mpi/session.h"
#include "worker/janitor.h"
#include "worker/spin_limit.h"
#include "worker/weights/host_account.h"

namespace ferry::worker {

struct Rank {
  parallel::Session* session = nullptr;
  std::unique_ptr<Device> device;
  parallel::Mesh mesh;
  parallel::Groups groups;
  offload::DeviceAccount account;
  HostAccount host_account;
  std::unique_ptr<Stream> own_exchange_stream;  // on a GPU; on the CPU the session's thread serves
  std::unique_ptr<Trace> trace;                 // nullptr: nobody asked for one
  model::kernels::Attention attention;          // of the DiT; LibTorch's choice until somebody sets it
  SpinLimit spin_limit;
  Janitor janitor;  // last: what it lets go of is used with the device

  bool is_first() const { return session->rank() == 0; }
  // What carries activations, or, where ranks exchange none, the branches.
  const std::string& backend() const {
    return (groups.ulysses->size() > 1 ? groups.ulysses : groups.data_root)->backend();
  }
  bool on_gpu() const { return device->type() == DeviceType::Cuda; }

  // Takes its place in `mesh`, as make_mesh gave it, with groups in which exchanges go as `exchange` says;
  // nothing that uses the groups of another mesh is left.  Collective over the world.
  void join(const parallel::Mesh& mesh, parallel::ExchangeBy exchange);

  // What carries activations: on the CPU the session's thread.
  Stream& exchange_stream() { return on_gpu() ? *own_exchange_stream : session->comm(); }
  // What a DiT runs on; `gate` is told of its exchanges (nullptr: nobody is).
  model::DitRuntime dit_runtime(DType compute, parallel::ExchangeGate* gate = nullptr);
  // Where a stage runs that all ranks compute in step, and one that this rank computes alone.
  offload::StageSetup stage_setup();
  offload::StageSetup lone_stage_setup();
};

// The device of `name`: cpu, cuda, or auto, which is cuda where every rank sees a GPU.  Collective over the
// world.  Throws UserError on every rank: another name, no GPU, more ranks than GPUs on a node.
std::unique_ptr<Device> make_device(const std::string& name, parallel::Session& session);

// One that has still to join a mesh.
std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, parallel::Session& session);
// The same, joined.  Collective over the world.
std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, const parallel::Mesh& mesh,
                                parallel::ExchangeBy exchange, parallel::Session& session);

}  // namespace ferry::worker
