// The state of a run that is not finished yet, on disk from one process to the next.
#pragma once

#include <future>
#include <optional>
#include <string>

#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/job/outputs.h"
#include "worker/state/identity.h"
#include "worker/state/state_file.h"

namespace ferry::worker {

// Owned and used by the first rank.
class UnfinishedRun {
 public:
  // Reads the state of that name if there is one and `resume` is true; if it is not, a state there will be
  // replaced.  Throws UserError: damaged, or a file that is no state.
  UnfinishedRun(StateName name, bool resume);

  const std::string& path() const { return name_.path; }
  bool found() const { return kept_.has_value(); }
  // These need found().
  const SamplingState& sampling() const { return kept_->sampling; }
  std::string attention() const { return attention_; }  // kernel of the DiT's attention; empty: not said

  // Takes over what `options` leave open: the seed (-1) and the mode of the guidance branches (auto).
  // Throws UserError if the state is of another number of ranks.
  void take_over(Options& options, int ranks) const;

  // What this run is; may still be being computed.
  void set_identity(std::future<Identity> mine) { pending_ = std::move(mine); }
  void set_attention(const std::string& name) { attention_ = name; }
  // Throws UserError, which names the differences, unless the state found is of this run, attention apart.
  void check(const Job& job);
  // Writes the state in place of an older one, and logs it.  Throws FileError.
  void save(const SamplingState& sampling);
  // Call once the results are written: removes the state, if there is one.
  void remove() noexcept;

 private:
  const Identity& mine();

  StateName name_;
  std::optional<StateFile> kept_;
  Identity kept_identity_;  // without the attention
  std::string attention_;   // of kept_, then this run's
  std::future<Identity> pending_;
  Identity mine_;
};

// For messages: "state PATH: REASON; --run.resume false ignores and replaces it".
std::string refusal_of_state(const std::string& path, const std::string& reason);

}  // namespace ferry::worker
