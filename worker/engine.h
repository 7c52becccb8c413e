// A program that makes several videos: the state that outlives one of them.
//
//   program   the rank: its device, its place in the mesh, its communicators (worker/rank.h)
//   model     the networks, their weights on the nodes, strategies that are ready
//             (worker/weights/loaded_model.h)
//   video     a job that has passed every check (Prepared), which borrows both
//
// Every rank owns an engine and makes the same calls, all collective over the world.
//
// After UserError or NotFinite, which every rank throws alike, the engine is as good as new: host copies of
// weights stay where they were, and the next job may be prepared or made.  After anything else it is not, as
// ranks may be in different places: the caller brings the others down (Session::abort).
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "parallel/choose_cfg.h"
#include "parallel/mpi/session.h"
#include "worker/distillation.h"
#include "worker/job/job.h"
#include "worker/job/memory_check.h"
#include "worker/job/options.h"
#include "worker/job/outputs.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/stages/context_store.h"
#include "worker/state/unfinished_run.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

// A job that has passed every check.
struct Prepared {
  Options options;  // as given; [offload] adapted to each network, parallel.cfg resolved
  Job job;
  parallel::CfgChoice cfg;  // rank 0: parallel.cfg, and the reason if it was auto
  parallel::Mesh mesh;
  HeldNames names;                              // on rank 0
  std::unique_ptr<UnfinishedRun> unfinished{};  // on rank 0; nullptr: the run only decodes
  bool resumes = false;                         // unfinished->found(), on every rank
  // optional; networks needed by later videos, the same on every rank, if known: their weights may stay
  // (run.keep).
  ByRole<bool> later{};
  TextPlan text{};  // optional; contexts shared with other videos
};

class Engine {
 public:
  // `session` must outlive it.  Throws UserError, the same on every rank: no such device.
  Engine(const Options& options, parallel::Session& session);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Checks everything that needs no weights, on rank 0 for all ranks, and sets up the ranks; then reports
  // changes of [offload] and truncated prompts.  Opens the networks that the job needs, headers only, if no
  // earlier job did.  Throws UserError, the same on every rank.
  // `echo`: all options with the job's own, if those are not the program's.
  Prepared prepare(const JobOptions& job, const std::optional<Echo>& echo = {});

  // Opens the networks that the job needs and that are not open yet, headers only.  Returns the changes made
  // to [offload].  Throws UserError for faults of the model.  Not collective.
  std::vector<std::string> open(const JobOptions& job);
  // As above, with the program's LoRAs instead of the job's: what it throws is no fault of this one job.
  std::vector<std::string> open_model(JobOptions job);
  // The job as prepare() would resolve it, but for the state of an unfinished run and what ranks and memory
  // decide.  Its networks must be open.  Throws UserError.  Not collective.
  Job preview(const JobOptions& job) const;

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
  std::string check(Prepared& prepared, const std::vector<RankMemory>& memory);
  std::vector<std::string> not_said_before(const std::vector<std::string>& notes);
  std::optional<checkpoint::Distilled> distilled() const;
  Job resolved(const JobOptions& options) const;
  Job resolve(Prepared& prepared);
  void identify(Prepared& prepared, const parallel::Mesh& mesh);
  void choose_attention_once(const Prepared& prepared);
  void choose_attention_as(const AttentionOptions& options, const Network& dit);
  void keep_attention(const Prepared& prepared, const std::string& kept, const std::string& path);
  Options with(const JobOptions& job, const std::optional<Echo>& echo) const;

  parallel::Session& session_;
  const Options given_;
  Options options_;  // [offload] adapted to the open networks
  Networks networks_;
  SamplingSaid said_of_sampling_;  // by the files of the open networks
  std::unique_ptr<Rank> rank_;
  std::unique_ptr<LoadedModel> model_;
  bool joined_ = false;
  bool attention_chosen_ = false;
  std::set<std::string> said_;  // on rank 0
};

// Name of the DiT's attention kernel for log and record (worker/stages/attention.h); empty if the job needs
// no DiT.
std::string attention_name(const Engine& engine, const Job& job);

}  // namespace ferry::worker
