// Times denoising steps of one model under one setting after another, on the ranks of one start: the denoise
// stage itself (worker/stages/stages.h), with noise for contexts; no text encoder, no VAE, no files.
//
// The host copy of the weights stays from one measurement to the next, unless the types kept there change;
// the strategy is made anew for each, and the communicators where the mesh is another.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "model/dit/config.h"
#include "offload/plan.h"
#include "offload/report.h"
#include "parallel/mesh.h"
#include "parallel/mpi/session.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

struct StepCase {
  Options options;  // of the job size, frames and sampling; its steps are those of a whole video
  int warmups = 3;  // steps before those that are timed: async learns in them what it need not ferry again
  int samples = 5;
};

// The same on every rank.  Seconds are those of the slowest rank, one for each sample.
struct StepTimes {
  std::vector<double> step_s;
  std::vector<double> exposed_copy_s;      // compute waited for weights
  std::vector<double> exposed_exchange_s;  // and for other ranks' activations
  std::size_t weights_peak_bytes = 0;      // device memory of the rank that took most, as accounted
  std::size_t activations_peak_bytes = 0;  // LibTorch's, likewise
  std::size_t host_peak_bytes = 0;         // of one process, with its part of the node's copy
  double ferried_bytes = 0;                // a step, over the link of the rank that copies most
  double copy_gbps = 0;  // 1e9 bytes/s of the slowest link while it was busy; 0: nothing ferried
};

struct StepResult {
  Job job;  // its steps: of a whole video
  parallel::Mesh mesh;
  parallel::CfgMode cfg = parallel::CfgMode::Paired;  // not Auto
  std::string attention;                              // as in the record
  std::string device;                                 // this rank's
  std::string exchange;                               // transport of activations
  double load_s = 0;                                  // reading the weights; 0: they were there
  StepTimes times;
  offload::Report report;  // this rank's
};

struct StepFacts {
  Job job;
  model::DitConfig dit;
  DType compute = DType::BF16;  // of the DiT
  offload::StagePlan plan;      // of its weights
};

// What of a case can be known, and refused, without ranks: the network, degrees, size, offloading on `ranks`
// ranks of one node.  Reads headers only, and no files of a model known by its name (dit_by_name(),
// worker/planner/shapes.h).  Throws UserError.
StepFacts check_steps(const Options& options, int ranks);

class StepMeasure {
 public:
  // For the device that `options` name.  Collective over the world; `session` must outlive it.  Throws
  // UserError on every rank: no such device.
  StepMeasure(const Options& options, parallel::Session& session);
  ~StepMeasure();
  StepMeasure(const StepMeasure&) = delete;
  StepMeasure& operator=(const StepMeasure&) = delete;

  // Collective over the world.  Throws UserError and NotFinite on every rank alike: the next case may follow.
  StepResult measure(const StepCase& what);

 private:
  struct Setting;
  Setting prepare(const StepCase& what);
  void decide(Setting& setting);
  void join(const parallel::Mesh& mesh, parallel::ExchangeBy exchange);
  double load(const Setting& setting);
  StepResult run(const StepCase& what);

  parallel::Session& session_;
  std::unique_ptr<Rank> rank_;
  std::unique_ptr<LoadedModel> model_;
  std::string loaded_;  // what the host copy is of
  bool joined_ = false;
};

}  // namespace ferry::worker
