// How long one rank computes and exchanges in a DiT forward, from shapes and rates (docs/planner.md).
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/dtype.h"
#include "model/dit/config.h"
#include "worker/planner/rates.h"

namespace ferry::worker {

// Notes the rates that a prediction leans on and that nobody measured as such.
class RateUse {
 public:
  double operator()(const char* name, const Rate& rate) {
    if (rate.source == RateSource::Assumed) assumed_.insert(name);
    if (rate.source == RateSource::Fitted) fitted_.insert(name);
    return rate.value;
  }
  void assume(const std::string& what) { assumed_.insert(what); }
  const std::set<std::string>& assumed() const { return assumed_; }
  const std::set<std::string>& fitted() const { return fitted_; }

 private:
  std::set<std::string> assumed_;
  std::set<std::string> fitted_;
};

// The share of one rank in a forward.
struct ForwardShape {
  model::DitConfig dit;
  DType compute = DType::BF16;
  std::int64_t tokens = 0;
  int ulysses = 1;
  int branches = 1;           // guidance branches that go through a block together
  bool over_network = false;  // its exchanges leave the node
};

struct BlockTime {
  double compute_s = 0;
  double exchange_s = 0;
};

struct ForwardTime {
  BlockTime first;  // branches share its self-attention
  BlockTime block;  // each other one, all branches
  double head_s = 0;
  double tail_s = 0;
};

// Bytes that the elementwise kernels of a block read and write for one token of one branch.
std::int64_t pass_bytes(const model::DitConfig& dit, DType compute, int ulysses);

ForwardTime forward_time(const ForwardShape& shape, const MachineRates& machine, const RankRates& rates,
                         RateUse& use);

}  // namespace ferry::worker
