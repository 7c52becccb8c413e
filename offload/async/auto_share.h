// The share of a stage that leaves it open: measures its passes, tells share_trials.h the worst rank's and
// says what the next one runs with.
//
//   pass    | 1 brings what | 2 ...  | n as all | n+1 ...
//           | no other does |        | later    |
//   border                  ^        ^          ^
//
// At first the ranks only ask each other at borders whether all is page-locked: copies of the rest are slow,
// and with less than all shared there are more of them.  From then on, until it is settled, the host waits at
// each border for the pass before, and they tell each other how long it took.  What counts are passes between
// two such borders, of a kind that has been seen before.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/device.h"
#include "model/weights.h"
#include "offload/arena/arena.h"
#include "offload/async/ferrying.h"
#include "offload/async/share_trials.h"
#include "offload/transport/meter.h"
#include "parallel/peers.h"

namespace ferry::offload {

struct AutoSharePlan {
  ShareFigures figures;
  int blocks = 0;    // that are ferried
  double first = 0;  // the share of the passes until one counts
  // For tests: what a pass of that share took on this rank, instead of what the device says.
  std::function<PassTime(double share)> took{};
};

class AutoShare {
 public:
  // `arena` outlives it, and what `peers` refer to.  Makes the events.
  AutoShare(AutoSharePlan plan, const NodeArena& arena, const parallel::Peers& peers, Device& device);

  // The share for what is queued from now on, the same on every rank.  Between two passes.  Unless it is
  // settled, collective over the peers, and waits for the last pass.
  double next(Meter& meter);
  bool settled() const { return settled_; }
  const std::string& why() const { return why_; }

  // Around each pass, unless it is settled.
  void begins(const model::PassKey& key, Stream& compute);
  void ends(PassFit fit, Stream& compute);

 private:
  void compare(PassFit fit, const PassTime& pass);
  void settle(std::string why);
  bool seen_before();
  bool pinned_everywhere() const;
  PassTime mine(Meter& meter);
  PassTime worst(Meter& meter);

  AutoSharePlan plan_;
  double share_;
  const NodeArena& arena_;
  parallel::Peers peers_;
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
  // Of the last pass.
  model::PassKey key_;
  PassFit fit_ = PassFit::None;
  double copied_ms_ = 0;              // before it
  bool waited_ = false;               // at the border before it
  bool pinned_ = false;               // all, everywhere, as of a border
  std::vector<model::PassKey> seen_;  // of passes so far
  int others_ = 0;                    // before one counted
  model::PassKey compared_;           // of the first that counted
  std::optional<ShareTrials> trials_;
  bool settled_ = false;
  std::string why_;
};

}  // namespace ferry::offload
