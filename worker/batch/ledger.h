// What became of each item of a batch, for log and list; kept by the first rank.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files/reservation.h"
#include "worker/batch/batch.h"
#include "worker/batch/failed_list.h"
#include "worker/batch/survey.h"

namespace ferry::worker {

class Ledger {
 public:
  // `lists`: failed items are written to the batch's list.
  Ledger(const Batch& batch, bool lists) : batch_(batch), failed_(batch.failed_path), lists_(lists) {}

  // Holds the list, so that no other run on this node makes the same batch.  Throws UserError if one does, or
  // if the list cannot be written.
  void hold();
  // Takes what the survey found, and logs it.  Throws FileError.
  void open(std::vector<ItemFacts> facts);
  // Indices of the items to make, in order but for those with equal LoRAs, which stand together.
  const std::vector<std::size_t>& left() const { return left_; }
  const Job& job(std::size_t item) const { return facts_[item].job; }

  // `seconds` of one that was made from its beginning, else 0.
  void note_made(std::size_t item, double seconds);
  // Throws FileError.
  void note_failure(std::size_t item, const std::string& error, int exit_code);
  // As above, for one that another group of ranks has made, or has logged.
  void note_made_elsewhere() { ++made_; }
  void note_failure_elsewhere(std::size_t item, const std::string& error, int exit_code);

  // An estimate for the items to make from the one at `place` in left() on, by `groups` of ranks, in
  // proportion to steps, branches and size; 0: nothing is made yet.
  double seconds_left(std::size_t place, int groups = 1) const;
  // Logs the sums.  Returns the batch's failure, or nothing if every item is there.
  std::string close() const;

 private:
  std::vector<std::size_t> by_loras(const std::vector<std::size_t>& items) const;
  const Batch& batch_;
  FailedList failed_;
  std::optional<Reservation> held_;
  bool lists_;
  std::vector<ItemFacts> facts_;
  std::vector<std::size_t> left_;
  std::size_t made_ = 0;
  std::size_t there_ = 0;
  std::size_t other_ = 0;  // of those there: made with other options
  double work_done_ = 0;
  double seconds_done_ = 0;
};

}  // namespace ferry::worker
