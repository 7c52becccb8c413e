// What one rank works with: its device, its place in the mesh, its communicators.
#pragma once

#include <memory>
#include <string>

#include "base/device.h"
#include "base/trace.h"
#include "model/dit/dit.h"
#include "model/kernels/attention.h"
#include "offload/device_account.h"
#include "parallel/groups.h"
#include "parallel/mesh.h"
#include "parallel/mpi/session.h"
#include "worker/janitor.h"
#include "worker/spin_limit.h"

namespace ferry::worker {

struct Rank {
  parallel::Session* session = nullptr;
  std::unique_ptr<Device> device;
  parallel::Mesh mesh;
  parallel::Groups groups;
  offload::DeviceAccount account;
  std::unique_ptr<Stream> exchange;     // of its own on a GPU; the session's thread serves on the CPU
  std::unique_ptr<Trace> trace;         // nullptr: nobody asked for one
  model::kernels::Attention attention;  // of the DiT; LibTorch's choice until somebody sets it
  SpinLimit spin_limit;
  Janitor janitor;  // last: what it lets go of is used with the device

  bool is_first() const { return session->rank() == 0; }
  // What carries activations, or, where ranks exchange none, the branches.
  const std::string& backend() const {
    return (groups.ulysses->size() > 1 ? groups.ulysses : groups.data_root)->backend();
  }
  bool on_gpu() const { return device->type() == DeviceType::Cuda; }
};

// The device of `name`: cpu, cuda, or auto, which is cuda where every rank sees a GPU.  Collective over the
// world.  Throws UserError on every rank: another name, no GPU, more ranks than GPUs on a node.
std::unique_ptr<Device> make_device(const std::string& name, parallel::Session& session);

// `mesh` as make_mesh gave it; exchanges go as `exchange` says.  Collective over the world.
std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, const parallel::Mesh& mesh,
                                parallel::ExchangeBy exchange, parallel::Session& session);

// What a DiT of this rank runs on; `gate` is told of its exchanges (nullptr: nobody is).
model::DitRuntime dit_runtime(Rank& rank, DType compute, parallel::ExchangeGate* gate = nullptr);

}  // namespace ferry::worker
