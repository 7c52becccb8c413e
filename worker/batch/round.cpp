#include "worker/batch/round.h"

#include <c10/core/InferenceMode.h>

#include "model/torch_stream.h"
#include "parallel/agree.h"
#include "worker/roles.h"
#include "worker/stages/stages.h"

namespace ferry::worker {
namespace {

// Headers only; for a group's number of ranks.  The job that needs the DiT comes last: the LoRAs are then
// its, and no group has to merge others, which is work for all ranks of a node.
void open_networks_of(Engine& engine, const Round& round) {
  fail_together(peers_of(engine.rank().session->everyone()), [&] {
    const JobOptions* const with_dit = round.needed_by[Role::Dit];
    for (const JobOptions* job : round.needed_by) {
      if (job != nullptr && job != with_dit) engine.open(*job);
    }
    if (with_dit != nullptr) engine.open(*with_dit);
  });
}

// Of the first rank, which encodes for all.
void check_memory_for_text(Engine& engine, const Options& options) {
  const std::vector<RankMemory> memory = memory_of_ranks(engine.rank());
  from_rank_0(*engine.rank().session, [&] {
    check_text_memory(options, engine.networks(), {.ranks = memory, .mesh = {}});
    return "";
  });
}

}  // namespace

void begin_round(Engine& engine, const Options& options, const Round& round, ContextStore& store) {
  Rank& rank = engine.rank();
  open_networks_of(engine, round);
  const bool of_group = rank.is_first();
  const parallel::Session::Undivided together(*rank.session);
  const c10::InferenceMode inference;
  const model::TorchStream stream(*rank.device);
  Progress progress = rank.is_first() ? Progress::on_stderr() : Progress();
  progress.set_heartbeat([&rank] { rank.session->send_heartbeat(); });
  rank.begin(parallel::Stage::Load);
  if (round.encodes) check_memory_for_text(engine, options);
  store = {};
  engine.model().release();
  const Job none;
  const TextPlan text{.store = rank.is_first() ? &store : nullptr, .known = false, .ahead = round.prompts};
  const StageInput input{.options = &options,
                         .job = &none,
                         .networks = &engine.networks(),
                         .rank = &rank,
                         .model = &engine.model(),
                         .progress = &progress,
                         .text = &text};
  VideoNeeds needs;  // of the text's stage; the others are held
  std::vector<StageSource> sources;
  for (const RoleEntry& entry : roles_in_turn()) {
    if (entry.role == Role::TextEncoder || round.needed_by[entry.role] == nullptr) continue;
    needs.later[entry.role] = true;
    sources.push_back({.network = &input.network(entry.role), .loras = input.network(entry.role).loras});
  }
  needs.later[Role::TextEncoder] = round.more_text;
  if (round.encodes) needs.now[Role::TextEncoder] = source_of(input, Role::TextEncoder);
  engine.model().begin_video(needs);
  engine.model().check_room_for(sources);
  if (options.run.dry_run) return;
  if (round.encodes) {
    StageRecord record;
    text_visit(input, record, [&] {
      for (const StageSource& source : sources) engine.model().begin_if_room(source, 0);
    });
    store.share(rank.session->everyone(), of_group);
  }
  engine.model().hold(sources, progress);
}

}  // namespace ferry::worker
