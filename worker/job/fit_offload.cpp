#include "worker/job/fit_offload.h"

#include "offload/arena/arena_plan.h"
#include "offload/fit.h"
#include "offload/limit.h"
#include "offload/need.h"

namespace ferry::worker {
namespace {

struct Stage {
  const model::NetworkSpec* spec = nullptr;
  offload::Options* options = nullptr;
  bool alone = false;  // one rank runs it, whatever their number
  bool gated = false;
};

std::vector<Stage> stages_of(Options& options, const Networks& networks) {
  std::vector<Stage> stages = {
      {.spec = &networks.vae.spec, .options = &options.vae, .alone = !options.parallel.split_vae}};
  if (networks.dit)
    stages.insert(stages.begin(), {.spec = &networks.dit->spec, .options = &options.dit, .gated = true});
  if (networks.text)
    stages.push_back({.spec = &networks.text->spec, .options = &options.text_encoder, .alone = true});
  return stages;
}

// A decode is too short for a measurement of the links to pay.
void decide_for_vae(offload::Options& vae) {
  if (vae.transport == offload::Transport::Auto && !vae.share) vae.transport = offload::Transport::Full;
  if (vae.interleave == offload::Interleave::Auto) vae.interleave = offload::Interleave::Free;
}

// One that is raised everywhere would be no limit at all.
void refuse_limit(const Stage& stage, int node_size) {
  const offload::ArenaPlan plan = offload::arena_plan(*stage.spec, *stage.options, node_size);
  offload::check_limit(stage.spec->name, *stage.options, offload::least_need(plan, *stage.options));
}

}  // namespace

std::vector<std::string> fit_offload(Options& options, const Networks& networks, int ranks, int node_size) {
  const std::vector<Stage> stages = stages_of(options, networks);
  std::vector<offload::Fitted> fitted;
  std::size_t limited = 0;
  std::size_t raised = 0;
  for (const Stage& stage : stages) {
    fitted.push_back(offload::fit(
        *stage.spec, *stage.options,
        {.node_size = node_size, .alone = stage.alone && ranks > 1, .gated = ranks == 1 || stage.gated}));
    limited += stage.options->vram_limit.has_value() ? 1 : 0;
    raised += fitted.back().options.vram_limit != stage.options->vram_limit ? 1 : 0;
  }
  if (raised > 0 && raised == limited) refuse_limit(stages.front(), node_size);
  std::vector<std::string> changes;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    *stages[i].options = fitted[i].options;
    changes.insert(changes.end(), fitted[i].changes.begin(), fitted[i].changes.end());
  }
  decide_for_vae(options.vae);
  return changes;
}

}  // namespace ferry::worker
