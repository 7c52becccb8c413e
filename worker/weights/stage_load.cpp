#include "worker/weights/stage_load.h"

#include <algorithm>
#include <utility>

#include "base/host/memory_use.h"
#include "parallel/agree.h"

namespace ferry::worker {
namespace {

bool adds(const StageSource& source) {
  return source.loras != nullptr && std::any_of(source.loras->begin(), source.loras->end(),
                                                [](const auto& lora) { return lora.strength != 0; });
}

bool reads(const StageSource& source, const Rank& rank) {
  return reads_weights(source.runs, rank.session->node_index());
}

void begin(const StageSource& source, Rank& rank, StageLoad& load) {
  parallel::Session& session = *rank.session;
  load.meter = std::make_shared<LoadMeter>(session);
  if (!reads(source, rank)) return;
  const bool copies = source.runs == Runs::AllRanks || rank.is_first();
  offload::LoadSetup setup;
  setup.progress = [meter = load.meter](const offload::LoadProgress& progress) { meter->note(progress); };
  if (source.network->plan.pin && copies) setup.pin_for = rank.device.get();
  const Network& network = *source.network;
  auto arena = offload::begin_arena({network.checkpoint, merge_of(source)}, network.plan.arena,
                                    offload::node_ranks(session, *rank.device), setup);
  HostAccount::Share counted(rank.host_account, arena->bytes());
  load.copy = std::make_unique<HostCopy>(std::move(counted), std::move(arena));
}

}  // namespace

// sequential keeps the weights of linears as in the file.
bool adds_in_calls(const StageSource& source) {
  return adds(source) && source.network->plan.kind == offload::StrategyKind::Sequential;
}

offload::Merge merge_of(const StageSource& source) {
  if (!adds(source)) return {};
  using checkpoint::LoraTerms;
  return {.loras = source.loras, .terms = adds_in_calls(source) ? LoraTerms::NotInCalls : LoraTerms::All};
}

std::size_t host_bytes(const StageSource& source, const Rank& rank) {
  if (!reads(source, rank)) return 0;
  return source.network->plan.arena.layout.bytes;
}

bool has_room(const StageSource& source, Rank& rank, std::size_t beside_bytes) {
  const std::size_t bytes = host_bytes(source, rank);
  return rank.session->all_agree(bytes == 0 || bytes + beside_bytes <= host_memory().available_bytes);
}

bool make_room(Rank& rank, std::size_t bytes, std::size_t available_bytes) {
  if (rank.session->all_agree(bytes <= available_bytes)) return true;
  rank.janitor.finish();
  // The memory is free once the last rank has unmapped it.
  rank.session->barrier();
  return false;
}

StageLoad begin_load(const StageSource& source, Rank& rank) {
  StageLoad load;
  agree(*rank.session, [&] { begin(source, rank, load); });
  return load;
}

}  // namespace ferry::worker
