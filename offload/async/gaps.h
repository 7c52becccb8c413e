// Measures with device events when the link is free between the exchanges of a block.
//
//   exchange stream   | V |   | Q | | K |        attention        | O |      rest of the block
//   gap                    0      1                    2                3
//
// With interleave = gated on a GPU the chunks of a block are queued after exchanges; a chunk in a short gap
// would delay the next exchange, so each gap gets a share in proportion to its length.
#pragma once

#include <memory>
#include <vector>

#include "base/device.h"

namespace ferry::offload {

// Shares of a block's copy for gaps of these lengths: proportional, but 0 for gaps below a tenth of the
// longest.  They add up to 1; empty without gaps.
std::vector<double> shares_of(const std::vector<double>& gaps_ms);

class Gaps {
 public:
  explicit Gaps(Device& device);
  // Begins a block; the exchanges until the next call belong to it.
  void begin_block();
  // Call around each exchange, in the exchange stream, before() ahead of any wait for chunks.
  void before(Stream& exchange_stream);
  void after(Stream& exchange_stream);
  // The share of the gap after the latest exchange.  Before anything is measured: everything after the last
  // exchange of a block, as counted in the previous block.
  double share() const;

 private:
  static constexpr int kMost = 32;  // exchanges of a block that are distinguished
  enum class Sampling { Idle, Running, Closing, Done };
  void read();
  std::vector<std::unique_ptr<Event>> begins_;  // of exchange i; one extra for the next block's first
  std::vector<std::unique_ptr<Event>> ends_;
  Sampling sampling_ = Sampling::Idle;
  int sampled_ = 0;    // in the sampled block
  int exchanges_ = 0;  // in this block so far
  int of_last_block_ = 0;
  std::vector<double> shares_;
};

}  // namespace ferry::offload
