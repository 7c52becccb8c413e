// Which share of a block (shares.h) the ranks of a node divide between them where the user leaves it open:
// the one whose passes are shortest.
//
//   pass     | n     | n+1   | n+2     | n+3   | n+4   | n+5 ...
//   share    | first | first | other   | other | other | the better one, for good
//            | measured      | between | measured      |
//
// A pass between two shares begins with blocks that were brought by the old one.  What links and gathers were
// measured to take says which share to begin with, and which not to try: those whose copies alone would take
// longer than the best pass so far.  All trials together cost no more than one pass beyond what the best
// share would have taken, as far as passes go as predicted; a single one may always be longer.
//
// No device and no peers: ranks that are told the same decide the same.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "offload/async/least_share.h"

namespace ferry::offload {

// So many passes in a row that cannot be compared settle it.
constexpr int kMostOthers = 8;

struct ShareCandidate {
  double share = 0;
  double copies_ms = 0;  // until the last block of a pass is there, were the compute not in the way
};

// What is worth a trial for `blocks` ferried blocks that compute for `compute_ms` in all, with copies_ms by
// the figures: the least share that hides, all, none, and the one `now` in force.  The first is the predicted
// best.
std::vector<ShareCandidate> share_candidates(const ShareFigures& figures, int blocks, double compute_ms,
                                             double now);

// Of one pass, the worst rank's.
struct PassTime {
  double ms = 0;
  double exposed_ms = 0;  // of that the compute waited for weights
  double copies_ms = 0;   // the link was busy
};

class ShareTrials {
 public:
  // `now` is one of the candidates, of which the passes so far are.  Where two are alike, to a hundredth, the
  // one that comes first is taken.  Throws std::invalid_argument where it is none.
  ShareTrials(std::vector<ShareCandidate> candidates, double now);

  // A pass ended that was wholly of share().
  void measured(const PassTime& pass);
  // One that began with blocks of the share before.
  void between(double ms);
  // One that cannot be compared: of another kind, or that brought what later ones do not.  After kMostOthers
  // in a row it is settled with what is known.
  void other();

  // For the next pass.
  double share() const { return trials_[now_].candidate.share; }
  bool settled() const { return settled_; }
  // Once settled: what was measured and what was not tried, for the log.
  const std::string& why() const { return why_; }

 private:
  struct Trial {
    ShareCandidate candidate;
    std::vector<double> ms{};  // of its measured passes
    double time() const;       // of these; there is one
  };
  double best_ms(std::size_t except) const;
  double spent_ms(double best_ms) const;
  double predicted_ms(const Trial& trial) const;
  bool ruled_out(const Trial& trial, double best_ms) const;
  std::optional<std::size_t> next() const;
  bool wants_more() const;
  void settle();
  std::string why_not(const Trial& trial) const;

  std::vector<Trial> trials_;
  std::size_t now_ = 0;
  std::vector<double> between_ms_;
  double compute_ms_ = 0;  // the least seen; 0: no pass yet
  double floor_ms_ = 0;    // no share makes a pass shorter; 0: not known
  int others_ = 0;         // in a row
  bool settled_ = false;
  std::string why_;
};

}  // namespace ferry::offload
