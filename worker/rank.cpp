#include "worker/rank.h"

#include <fmt/format.h>

#include "base/error.h"
#include "parallel/binding.h"

namespace ferry::worker {

std::unique_ptr<Device> make_device(const std::string& name, parallel::Session& session) {
  if (name != "auto" && name != "cpu" && name != "cuda") {
    throw UserError(fmt::format("device {}: accepted: auto, cpu, cuda", name));
  }
  const bool cuda = name == "cuda" || (name == "auto" && session.all_agree(cuda_device_count() > 0));
  return cuda ? make_cuda_device(parallel::gpu_of_rank(session)) : make_cpu_device();
}

std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, const parallel::Mesh& mesh,
                                parallel::ExchangeBy exchange, parallel::Session& session) {
  auto rank = std::make_unique<Rank>();
  rank->session = &session;
  rank->device = std::move(device);
  rank->mesh = mesh;
  rank->groups = parallel::make_groups(session, rank->mesh, *rank->device, exchange);
  if (rank->on_gpu()) rank->exchange = rank->device->make_stream("exchange", Priority::High);
  return rank;
}

model::DitRuntime dit_runtime(Rank& rank, DType compute, parallel::ExchangeGate* gate) {
  return {.device = rank.device.get(),
          .ulysses = rank.groups.ulysses.get(),
          .exchange = rank.on_gpu() ? rank.exchange.get() : &rank.session->comm(),
          .gate = gate,
          .compute = compute,
          .tap = nullptr,
          .trace = rank.trace.get(),
          .attention = rank.attention};
}

}  // namespace ferry::worker
