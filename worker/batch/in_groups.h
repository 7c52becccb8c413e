// Makes a batch by several groups of ranks at the same time.
#pragma once

#include <nlohmann/json.hpp>

#include "parallel/mpi/claims.h"
#include "worker/batch/batch_run.h"
#include "worker/batch/round.h"

namespace ferry::worker {

// Groups claim videos as they become free, in rounds: between two of them all meet.  The session is divided.
class InGroups final : public BatchRun {
 public:
  using BatchRun::BatchRun;

 private:
  int make_all() override;
  void plan_text(Prepared& prepared, std::size_t place) override;
  void note_made(std::size_t place, double seconds) override;
  void note_failure(std::size_t place, const std::string& error, int exit_code) override;

  Round next_round(std::size_t begin);
  int make_claimed(parallel::Claims& claims, std::size_t begin, std::size_t count);
  void tell_outcomes();

  ContextStore store_;  // this round's contexts
  // This round's of a group but the first, on its first rank: [item, error, exit code], without error if it
  // is made.
  nlohmann::json outcomes_ = nlohmann::json::array();
};

}  // namespace ferry::worker
