#include "worker/memory_check.h"

#include <algorithm>

#include "base/memory_use.h"
#include "offload/host_check.h"
#include "offload/layout.h"
#include "offload/need.h"
#include "worker/activations.h"

namespace ferry::worker {
namespace {

struct Stage {
  const Network& network;
  const offload::Options& options;
  std::size_t activation_bytes = 0;
  int ranks = 1;  // of this node that compute it
};

// On the CPU the ranks' device memory is what the node's copy leaves of the host's.
offload::Room room_of(const Device& device, const HostMemory& host, std::size_t arena_bytes, int ranks) {
  if (device.type() == DeviceType::Cuda) {
    const MemoryUse memory = device.memory();
    return {.free_bytes = memory.free_bytes, .total_bytes = memory.total_bytes, .where = device.name()};
  }
  const std::size_t left = host.available_bytes - std::min(host.available_bytes, arena_bytes);
  return {.free_bytes = left / static_cast<std::size_t>(ranks),
          .total_bytes = host.total_bytes,
          .where = host.limited_by_cgroup ? "the cgroup's limit, beside the host copy of the weights"
                                          : "this machine, beside the host copy of the weights",
          .weights_in_place = true};
}

void check_stage(const Stage& stage, const Machine& machine) {
  const offload::ArenaPlan plan = offload::arena_plan(stage.network.spec, stage.options, machine.node_size);
  offload::check_limit(stage.network.spec.name, stage.options, offload::least_need(plan, stage.options));
  const std::size_t arena_bytes = offload::arena_layout(plan.stored, machine.node_size).bytes;
  const HostMemory host = host_memory();
  offload::check_host_memory(plan, arena_bytes, 1, host);
  offload::check_device_memory(plan, stage.options, stage.activation_bytes,
                               room_of(*machine.device, host, arena_bytes, stage.ranks));
}

}  // namespace

void check_memory(const Options& options, const Job& job, const Networks& networks, const Machine& machine) {
  const ModelFacts& facts = networks.facts;
  if (networks.text) {
    check_stage({*networks.text, options.text_encoder, activation_bytes(*facts.text, networks.text->compute)},
                machine);
  }
  const DitActivations how = dit_activations(options, job, machine.mesh);
  check_stage({networks.dit, options.dit, activation_bytes(facts.dit, job, how, networks.dit.compute),
               machine.node_size},
              machine);
  check_stage({networks.vae, options.vae, activation_bytes(facts.vae, job, networks.vae.compute)}, machine);
}

}  // namespace ferry::worker
