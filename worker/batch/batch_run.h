// What making a batch by one group of ranks (run_batch.cpp) and by several (in_groups.h) have in common.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "worker/batch/batch.h"
#include "worker/batch/ledger.h"
#include "worker/batch/shared_contexts.h"
#include "worker/engine.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

// All ranks make the same calls, those of a group in lockstep.
class BatchRun {
 public:
  // `options` are those of a group's run of its own.  All must outlive it.
  BatchRun(Engine& engine, const Options& options, const Batch& batch, StopRequest& stop);
  BatchRun(const BatchRun&) = delete;
  BatchRun& operator=(const BatchRun&) = delete;
  virtual ~BatchRun() = default;

  // As run_batch().
  int run();

 protected:
  // Returns 0, or kRequeueExit if a rank was asked to stop.
  virtual int make_all() = 0;
  // Says what the text stage of the video at `place` finds and does.
  virtual void plan_text(Prepared& prepared, std::size_t place) = 0;
  // `seconds` of one that was made from its beginning, else 0.
  virtual void note_made(std::size_t place, double seconds) = 0;
  virtual void note_failure(std::size_t place, const std::string& error, int exit_code) = 0;

  // Logs the LoRAs, on the first rank of all, if they are others than those logged before.
  void tell_loras();

  // Makes the video at `place` in left(), or notes why it cannot be made.  Returns 0 or kRequeueExit.
  int make(std::size_t place);

  Engine& engine() { return engine_; }
  parallel::Session& session() { return session_; }
  const Options& options() const { return options_; }
  StopRequest& stop() { return stop_; }
  Ledger& ledger() { return ledger_; }              // on the first rank of all
  SharedContexts& contexts() { return contexts_; }  // on the first rank of all
  // Indices of the items to make.
  const std::vector<std::size_t>& left() const { return left_; }
  const BatchItem& item(std::size_t place) const { return batch_.items[left_[place]]; }
  // Of this rank's group, and of all ranks.
  bool first() const { return session_.rank() == 0; }
  bool first_of_all() const { return session_.everyone().rank() == 0; }

 private:
  void look();
  int make_or_throw(std::size_t place);
  void announce(const Prepared& prepared, std::size_t place);
  int finish();

  Engine& engine_;
  parallel::Session& session_;
  const Options& options_;
  const Batch& batch_;
  StopRequest& stop_;
  std::vector<std::size_t> left_;
  Ledger ledger_;
  SharedContexts contexts_;
  bool announced_ = false;
  std::string loras_;  // as they were logged
};

}  // namespace ferry::worker
