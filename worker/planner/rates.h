// The rates of a machine, from which times are predicted: a JSON file, written by `ferry bench calibrate` or
// by hand, or one of those built in (configs/machines/).  docs/planner.md says what each is and where it
// comes from.
//
// Units: TFLOP/s are 1e12 operations per second, GB/s 1e9 bytes per second, seconds otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/words.h"

namespace ferry::worker {

// Measured: the quantity itself was timed or read on such a machine.  Fitted: it was worked out from times of
// whole forwards or runs there, so that predicting those is no test of it.  Datasheet: its maker says so.
// Assumed: none of these.  The larger, the less a prediction can lean on it.
enum class RateSource : std::uint8_t { Measured, Fitted, Datasheet, Assumed };
constexpr auto words_of(RateSource) {
  return std::to_array<std::string_view>({"measured", "fitted", "datasheet", "assumed"});
}

struct Rate {
  double value = 0;
  RateSource source = RateSource::Assumed;
};

// A matrix product [rows, in] x [in, out].
struct LinearRate {
  std::int64_t rows = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  Rate tflops;
};

// Attention of heads with 128 elements each.
struct AttentionRate {
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t heads = 0;
  Rate tflops;
};

// What one rank reaches while that many ranks of its node do the same.
struct RankRates {
  int ranks = 1;
  int threads = 0;  // of a rank on the CPU
  std::vector<LinearRate> linear;
  std::vector<AttentionRate> attention;
  Rate pass_gbps;         // elementwise work, over the bytes of pass_bytes() (worker/planner/step_time.h)
  Rate block_s;           // what a block takes beside that, once for each branch
  Rate ranks_loss;        // the fraction by which computing grows because ranks wait for the slowest
  Rate link_gbps;         // arena to device, all ranks at once
  Rate copy_loss;         // seconds that computing grows by for each GB copied beside it
  Rate exchange_s;        // the least that an all-to-all takes
  Rate exchange_gbps;     // what a rank sends in it, beyond that
  Rate exchange_exposed;  // the fraction of it that computing waits for
  Rate gather_gbps;       // what a rank receives when shares of a block are gathered
  Rate gather_loss;       // as copy_loss
};

struct MachineRates {
  std::string name;
  std::string device;  // "NVIDIA H100 80GB HBM3", "cpu"
  std::string dtype;   // of the products: "bf16", "fp32"
  bool gpu = false;
  int node_ranks = 1;               // devices of a node
  Rate device_gib;                  // memory of a device; on the CPU the host's
  Rate host_gib;                    // memory of a node
  std::vector<RankRates> by_ranks;  // not empty, ascending
  Rate network_gbps;                // between nodes, each rank
  Rate network_s;
  Rate network_exposed{.value = 1};  // as exchange_exposed, of an exchange between nodes; a file may lack it
  Rate init_s;                       // from the start of the processes to the first byte read
  Rate read_gbps;                    // files to the node's copy
  Rate pin_gbps;                     // page-locking, until the first step may begin; the CPU locks nothing
  Rate decode_tflops;                // the VAE's convolutions

  // The section for that many ranks of a node, else the largest with fewer (its rates are then assumed for
  // more ranks), else the first.
  const RankRates& of(int ranks) const;
};

// A file, or the name of a built-in one.  Throws UserError: neither; not JSON; a key that is missing, or of
// another type; a rate that is not from 1e-9 to 1e9 (losses, seconds and fractions may be 0).
MachineRates load_machine(const std::string& file_or_name);
// The same from JSON text; `where` names it in messages.
MachineRates machine_from_json(const std::string& text, const std::string& where);
std::string to_json(const MachineRates& machine);
// "h100", "h200", "pcie".
std::vector<std::string> builtin_machines();

// The rate at the shape that is nearest in width, interpolated in rows.
Rate linear_rate(const RankRates& rates, std::int64_t rows, std::int64_t in, std::int64_t out);
Rate attention_rate(const RankRates& rates, std::int64_t queries, std::int64_t keys, std::int64_t heads);

}  // namespace ferry::worker
