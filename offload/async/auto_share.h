// Chooses the share of a stage at run time: measures its passes, reports the slowest rank's to share_trials.h
// and returns the share of the next pass.
//
//   pass    | 1 copies more | 2 ...  | n as all | n+1 ...
//           | than others   |        | later    |
//   border                  ^        ^          ^
//
// At first the ranks only ask each other at borders whether all is page-locked: copies of the rest are slow,
// and with a share below 1 there are more of them.  From then until the share is settled, the host waits at
// each border for the previous pass, and the ranks exchange how long it took.  Only passes between two such
// borders, of a kind seen before, are compared.
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
  int blocks = 0;    // ferried blocks
  double first = 0;  // share until the first pass that counts
  // For tests: replaces the measured time of a pass with that share on this rank.
  std::function<PassTime(double share)> took{};
};

class AutoShare {
 public:
  // `arena` and everything `peers` refer to must outlive it.  Creates the events.
  AutoShare(AutoSharePlan plan, const NodeArena& arena, const parallel::Peers& peers, Device& device);

  // Returns the share for work queued from now on, the same on every rank.  Call between two passes.  Unless
  // settled, collective over the peers, and waits for the last pass.
  double next(Meter& meter);
  bool settled() const { return settled_; }
  const std::string& why() const { return why_; }

  // Call around each pass, unless settled.
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
  // State of the last pass:
  model::PassKey key_;
  PassFit fit_ = PassFit::None;
  double copied_ms_ = 0;              // link time before it
  bool waited_ = false;               // the host waited at the border before it
  bool pinned_ = false;               // all is page-locked on every rank, as of the last border
  std::vector<model::PassKey> seen_;  // kinds of passes so far
  int others_ = 0;                    // passes before one counted
  model::PassKey compared_;           // kind of the first pass that counted
  std::optional<ShareTrials> trials_;
  bool settled_ = false;
  std::string why_;
};

}  // namespace ferry::offload
