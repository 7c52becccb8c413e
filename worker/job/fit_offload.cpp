#include "worker/job/fit_offload.h"

#include <utility>

#include "offload/fit.h"

namespace ferry::worker {
namespace {

struct Stage {
  const RoleEntry& entry;
  Network& network;
  offload::Options& options;
  bool alone = false;  // run by one rank, however many there are
};

// Of this job: what another one needs may have options that do not suit it.
std::vector<Stage> stages_of(Options& options, Networks& networks, int ranks) {
  std::vector<Stage> stages;
  const Given given = given_to(options.job);
  for (const RoleEntry& entry : roles()) {
    std::optional<Network>& network = networks[entry.role];
    if (!network || !entry.needed(given)) continue;
    const bool alone = ranks > 1 && entry.runs(options, ranks) == Runs::FirstRank;
    stages.push_back({entry, *network, options.offload[entry.role], alone});
  }
  return stages;
}

void decide_unmeasured(offload::Options& options) {
  using offload::Interleave;
  using offload::Transport;
  if (options.transport == Transport::Auto && !options.share) options.transport = Transport::Full;
  if (options.interleave == Interleave::Auto) options.interleave = Interleave::Free;
}

}  // namespace

std::vector<std::string> fit_offload(Options& options, Networks& networks, int ranks, int node_size) {
  const std::vector<Stage> stages = stages_of(options, networks, ranks);
  std::vector<offload::Fitted> fitted;
  std::size_t limited = 0;
  std::size_t raised = 0;
  for (const Stage& stage : stages) {
    if (!stage.entry.measures_links) decide_unmeasured(stage.options);
    fitted.push_back(offload::fit(
        stage.network.spec, stage.options,
        {.node_size = node_size, .alone = stage.alone, .gated = ranks == 1 || stage.entry.exchanges}));
    limited += stage.options.vram_limit.has_value() ? 1 : 0;
    raised += fitted.back().options.vram_limit != stage.options.vram_limit ? 1 : 0;
  }
  // A limit that is raised everywhere would have no effect.
  if (raised > 0 && raised == limited) set_limit(fitted.front().plan, stages.front().options.vram_limit);
  std::vector<std::string> changes;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    stages[i].options = fitted[i].options;
    stages[i].network.plan = std::move(fitted[i].plan);
    changes.insert(changes.end(), fitted[i].changes.begin(), fitted[i].changes.end());
  }
  return changes;
}

}  // namespace ferry::worker
