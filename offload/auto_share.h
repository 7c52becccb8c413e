// The share of a stage that leaves it open: measures its passes, tells share_trials.h the worst rank's and
// says what the next one runs with.
//
//   pass    | 1 brings what | 2 | 3 as all | 4 ...
//           | no other does |   | later    |
//   border                  ^   ^          ^
//
// Until it is settled, the host waits at each border for the pass before, and the ranks tell each other how
// long that took.  What counts are passes between two such borders, of a kind that has been seen before, on
// weights that are page-locked on every rank: copies of the rest are slow, and with less than all shared
// there are more of them.  Until page-locking is over nobody waits.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/device.h"
#include "model/weights.h"
#include "offload/arena.h"
#include "offload/ferrying.h"
#include "offload/meter.h"
#include "offload/peers.h"
#include "offload/share_trials.h"

namespace ferry::offload {

class AutoShare {
 public:
  // `first` is the share of the passes until then; `blocks` are ferried.  `arena` outlives it, and what
  // `peers` refer to.  Makes the events.
  AutoShare(const ShareFigures& figures, int blocks, double first, const NodeArena& arena, const Peers& peers,
            Device& device);

  // The share for what is queued from now on.  Between two passes.  Unless it is settled, collective over the
  // peers, and waits for the last pass where that may count.  Every rank gets the same.
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
  std::optional<PassTime> worst(Meter& meter);

  ShareFigures figures_;
  int blocks_;
  double share_;
  const NodeArena& arena_;
  Peers peers_;
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
  // Of the last pass.
  model::PassKey key_;
  PassFit fit_ = PassFit::None;
  bool pinned_ = false;               // when it began
  double copied_ms_ = 0;              // before it
  bool waited_ = false;               // at the border before it
  std::vector<model::PassKey> seen_;  // of passes so far
  int others_ = 0;                    // before one counted
  model::PassKey compared_;           // of the first that counted
  std::optional<ShareTrials> trials_;
  bool settled_ = false;
  std::string why_;
};

}  // namespace ferry::offload
