// Chooses the share of a block (shares.h) that the ranks of a node split between them if the user leaves it
// open: the one with the shortest passes.
//
//   pass     | n     | n+1   | n+2     | n+3   | n+4   | n+5 ...
//   share    | first | first | other   | other | other | the better one, permanently
//            | measured      | between | measured      |
//
// A pass between two shares starts with blocks copied under the old one.  Measured link and gather speeds
// determine the first share, and which not to try: those whose copies alone would take longer than the best
// pass so far.  All trials together cost at most one pass more than with the best share from the start, if
// passes go as predicted; a single one may always take longer.
//
// Uses neither device nor peers: ranks with equal inputs decide alike.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "offload/async/least_share.h"

namespace ferry::offload {

// Settles after this many consecutive passes that cannot be compared.
constexpr int kMostOthers = 8;

struct ShareCandidate {
  double share = 0;
  double copies_ms = 0;  // until the last block of a pass is ready, ignoring computation
};

// Candidates for `blocks` ferried blocks that compute for `compute_ms` in all, with copies_ms predicted from
// the figures: the least share that hides, all, none, and the current share `now`.  The first is the
// predicted best.
std::vector<ShareCandidate> share_candidates(const ShareFigures& figures, int blocks, double compute_ms,
                                             double now);

// Times of one pass, the maximum over the ranks.
struct PassTime {
  double ms = 0;
  double exposed_ms = 0;  // part of it in which compute waited for weights
  double copies_ms = 0;   // time that the link was busy
};

class ShareTrials {
 public:
  // `now` must be one of the candidates, and the share of the passes so far; else throws
  // std::invalid_argument.  If two are within a hundredth, the one that comes first is chosen.
  ShareTrials(const std::vector<ShareCandidate>& candidates, double now);

  // Reports a pass that ran entirely with share().
  void measured(const PassTime& pass);
  // Reports one that started with blocks of the previous share.
  void between(double ms);
  // Reports one that cannot be compared: of another kind, or that copied more than later ones.  After
  // kMostOthers in a row, settles with what is known.
  void other();

  // Share of the next pass.
  double share() const { return trials_[now_].candidate.share; }
  bool settled() const { return settled_; }
  // Once settled: the measurements, and the candidates not tried, for the log.
  const std::string& why() const { return why_; }

 private:
  struct Trial {
    ShareCandidate candidate;
    std::vector<double> ms{};  // times of its measured passes
    double time() const;       // their median; needs at least one
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
  double compute_ms_ = 0;  // minimum so far; 0: no pass yet
  double floor_ms_ = 0;    // lower bound of a pass with any share; 0: unknown
  int others_ = 0;         // consecutive
  bool settled_ = false;
  std::string why_;
};

}  // namespace ferry::offload
