#include "worker/job/fit_offload.h"

#include <utility>

#include "offload/fit.h"

namespace ferry::worker {
namespace {

struct Stage {
  Network* network = nullptr;
  offload::Options* options = nullptr;
  bool alone = false;  // one rank runs it, whatever their number
  bool gated = false;
};

std::vector<Stage> stages_of(Options& options, Networks& networks) {
  std::vector<Stage> stages = {
      {.network = &networks.vae, .options = &options.vae, .alone = !options.parallel.split_vae}};
  if (networks.dit)
    stages.insert(stages.begin(), {.network = &*networks.dit, .options = &options.dit, .gated = true});
  if (networks.text)
    stages.push_back({.network = &*networks.text, .options = &options.text_encoder, .alone = true});
  return stages;
}

// A decode is too short for a measurement of the links to pay.
void decide_for_vae(offload::Options& vae) {
  if (vae.transport == offload::Transport::Auto && !vae.share) vae.transport = offload::Transport::Full;
  if (vae.interleave == offload::Interleave::Auto) vae.interleave = offload::Interleave::Free;
}

}  // namespace

std::vector<std::string> fit_offload(Options& options, Networks& networks, int ranks, int node_size) {
  decide_for_vae(options.vae);
  const std::vector<Stage> stages = stages_of(options, networks);
  std::vector<offload::Fitted> fitted;
  std::size_t limited = 0;
  std::size_t raised = 0;
  for (const Stage& stage : stages) {
    fitted.push_back(offload::fit(
        stage.network->spec, *stage.options,
        {.node_size = node_size, .alone = stage.alone && ranks > 1, .gated = ranks == 1 || stage.gated}));
    limited += stage.options->vram_limit.has_value() ? 1 : 0;
    raised += fitted.back().options.vram_limit != stage.options->vram_limit ? 1 : 0;
  }
  // One that is raised everywhere would be no limit at all.
  if (raised > 0 && raised == limited) set_limit(fitted.front().plan, stages.front().options->vram_limit);
  std::vector<std::string> changes;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    *stages[i].options = fitted[i].options;
    stages[i].network->plan = std::move(fitted[i].plan);
    changes.insert(changes.end(), fitted[i].changes.begin(), fitted[i].changes.end());
  }
  return changes;
}

}  // namespace ferry::worker
