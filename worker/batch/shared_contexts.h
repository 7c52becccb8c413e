// Prompts of later videos, encoded with those of earlier ones.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "worker/batch/ledger.h"
#include "worker/batch/text_visits.h"
#include "worker/networks.h"

namespace ferry::worker {

// Used by the first rank.  A place is one in ledger.left().
class SharedContexts {
 public:
  SharedContexts(const Batch& batch, const Ledger& ledger) : batch_(batch), ledger_(ledger) {}

  ContextStore& store() { return store_; }

  // Takes the videos of the ledger, once they are known.
  void open();
  // What the text stage does for the video at `place`, which is the next.
  TextVisit plan(std::size_t place, const Networks& networks);
  // Which of the videos from `place` on `groups` of ranks make without meeting: each keeps all contexts.
  TextRound plan_from(std::size_t place, const Networks& networks, int groups) const;
  // Drops what no video after the one at `place`, which is the next, needs.
  void drop_done(std::size_t place);

 private:
  std::size_t limit() const;

  const Batch& batch_;
  const Ledger& ledger_;
  ContextStore store_;
  std::vector<const Job*> jobs_;
  std::map<std::string, int> uses_;  // by videos that are not made yet
  bool all_planned_ = false;         // no prompt of a later video is left out
};

}  // namespace ferry::worker
