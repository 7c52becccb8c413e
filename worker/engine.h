// A program that makes video after video: what lives longer than one of them.
//
//   program   the rank: its device, its place in the mesh, its communicators (worker/rank.h)
//   model     the networks, their weights on the nodes, strategies that are ready
//   (worker/weights/loaded_model.h) video     a job that has passed every check (Prepared), which borrows
//   both
//
// All ranks own an engine and make the same calls on it, all of which are collective over the world.
//
// After UserError or NotFinite, which every rank throws alike, the engine is as good as new: host copies of
// weights stay where they were, and the next job may be prepared or made.  After anything else it is not, as
// ranks may be in different places: the caller brings the others down (Session::abort).
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "parallel/choose_cfg.h"
#include "parallel/mpi/session.h"
#include "worker/job/job.h"
#include "worker/job/memory_check.h"
#include "worker/job/options.h"
#include "worker/job/outputs.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

// A job that has passed every check.
struct Prepared {
  Options options;  // as given, [offload] made to suit each network, parallel.cfg not auto
  Job job;
  parallel::CfgChoice cfg;  // on rank 0: what parallel.cfg is, and why if it was auto
  parallel::Mesh mesh;
  HeldNames names;  // on rank 0
  // The networks that videos after this one will need, the same on every rank, for whoever knows: their
  // weights may stay (run.keep).
  ByRole<bool> later{};
};

class Engine {
 public:
  // `session` outlives it.  Throws UserError, the same on every rank: no such device.
  Engine(const Options& options, parallel::Session& session);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Checks everything that can be checked before weights are read, on rank 0 for everybody, and sets the
  // ranks up; then says what of [offload] was changed, and which prompt is cut.  The networks that the job
  // needs are opened, headers only, if no job has needed them before. Throws UserError, the same on every
  // rank.
  Prepared prepare(const JobOptions& job);

  // Makes the ranks those of the job's mesh; communicators are made anew where that is another than before,
  // or after leave().
  void join(const Prepared& prepared);
  // After a video that was broken off.  The memory of a group whose ranks could not agree to free it ends
  // with the group, and that with the next join().
  void leave() { joined_ = false; }

  const Networks& networks() const { return networks_; }
  Rank& rank() { return *rank_; }
  const Rank& rank() const { return *rank_; }
  LoadedModel& model() { return *model_; }

 private:
  std::vector<std::string> open(const JobOptions& job);
  void check(Prepared& prepared, const std::vector<RankMemory>& memory);
  std::vector<std::string> not_said_before(const std::vector<std::string>& notes);
  void choose_attention_once(const Prepared& prepared);
  Options with(const JobOptions& job) const;

  parallel::Session& session_;
  const Options given_;
  Options options_;  // [offload] made to suit the networks that are open
  Networks networks_;
  std::unique_ptr<Rank> rank_;
  std::unique_ptr<LoadedModel> model_;
  bool joined_ = false;
  bool attention_chosen_ = false;
  std::set<std::string> said_;  // on rank 0
};

// What computes the DiT's attention, as log and record have it (worker/stages/attention.h); empty where the
// job needs no DiT.
std::string attention_name(const Engine& engine, const Job& job);

}  // namespace ferry::worker
