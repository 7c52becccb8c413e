#include "worker/rank.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/run_failure.h"
#include "parallel/binding.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

std::unique_ptr<Device> make_device(const std::string& name, parallel::Session& session) {
  if (name != "auto" && name != "cpu" && name != "cuda") {
    throw UserError(fmt::format("device {}: accepted: auto, cpu, cuda", name));
  }
  const bool cuda = name == "cuda" || (name == "auto" && session.all_agree(cuda_device_count() > 0));
  return cuda ? make_cuda_device(parallel::gpu_of_rank(session)) : make_cpu_device();
}

std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, parallel::Session& session) {
  auto rank = std::make_unique<Rank>();
  rank->session = &session;
  rank->device = std::make_unique<CountedDevice>(std::move(device));
  const MemoryUse memory = rank->device->memory();
  rank->others_at_start = memory.total_bytes - memory.free_bytes;
  session.ticks().computes_on_host(!rank->on_gpu());
  if (rank->on_gpu()) rank->own_exchange_stream = rank->device->make_stream("exchange", Priority::High);
  return rank;
}

std::unique_ptr<Rank> make_rank(std::unique_ptr<Device> device, const parallel::Mesh& mesh,
                                parallel::ExchangeBy exchange, parallel::Session& session) {
  std::unique_ptr<Rank> rank = make_rank(std::move(device), session);
  rank->join(mesh, exchange);
  return rank;
}

void Rank::begin(parallel::Stage stage) const {
  note_memory();
  ticks().begin(stage);
}

void Rank::note_memory() const {
  if (on_gpu()) ticks().device_memory(device->memory().free_bytes);
}

void Rank::wait_for(const Event& event, const std::function<bool()>& at_look) const {
  const parallel::Ticks::Wait wait(&ticks());
  parallel::wait_for(event, groups, session->patience_s(), at_look);
}

std::optional<Explained> Rank::report(const std::exception& error) const {
  std::optional<Explained> explained;
  if (explain && dynamic_cast<const Explained*>(&error) == nullptr) {
    try {
      const std::string words = explain(error);
      if (!words.empty()) explained.emplace(words);
    } catch (const std::exception&) {  // what has failed cannot be asked: the error's own words
    }
  }
  if (failed) failed(explained ? static_cast<const std::exception&>(*explained) : error);
  return explained;
}

void speak_first(const Rank& rank, const std::function<void()>& work) {
  try {
    work();
  } catch (const UserError&) {
    throw;
  } catch (const RunFailure&) {
    throw;
  } catch (const Stopped&) {
    throw;
  } catch (const std::exception& error) {
    if (const std::optional<Explained> explained = rank.report(error)) throw *explained;
    throw;
  }
}

void Rank::join(const parallel::Mesh& wanted, parallel::ExchangeBy by) {
  groups = {};
  mesh = wanted;
  groups = parallel::make_groups(*session, mesh, *device, by);
}

model::DitRuntime Rank::dit_runtime(DType compute, parallel::ExchangeGate* gate) {
  return {.device = device.get(),
          .ulysses = groups.ulysses.get(),
          .exchange_stream = &exchange_stream(),
          .gate = gate,
          .compute = compute,
          .tap = nullptr,
          .trace = trace.get(),
          .ticks = &ticks(),
          .failed = [this](const std::exception& error) { report(error); },
          .attention = attention};
}

offload::StageSetup Rank::stage_setup() {
  offload::StageSetup setup = single_rank_stage_setup();
  setup.peers = parallel::world_peers(*session);
  setup.copy_sharers = groups.copy_sharers.get();
  setup.gather_stream = on_gpu() ? nullptr : &session->comm();
  return setup;
}

offload::StageSetup Rank::single_rank_stage_setup() {
  offload::StageSetup setup;
  setup.device = device.get();
  setup.account = &account;
  setup.trace = trace.get();
  return setup;
}

}  // namespace ferry::worker
