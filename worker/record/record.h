// Statistics of a run, collected while it runs and written to the record at its end.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/stream_timer.h"
#include "offload/report.h"

namespace ferry::worker {

// Waits of the compute stream, from device events.
struct Exposed {
  double ms = 0;
  std::vector<double> ms_by_step;
  std::vector<double> ms_by_block;  // mean per forward
};

// Converts `times` of passes, equally many in each of `steps` steps.
Exposed exposed_of(const StreamTimes& times, int steps);

struct StageRecord {
  std::string name;                        // "text", "denoise", "decode"
  double warm_up_s = 0;                    // denoise on a GPU: two blocks run while the weights were read
  double load_s = 0;                       // wait for the node's copy: read, converted, placed
  double pin_s = 0;                        // further wait until the first part was page-locked
  double pin_first_s = 0;                  // page-locking of it on its own thread, once all was read
  double pin_all_s = 0;                    // all page-locking, partly during the first steps; 0: not finished
  double prepare_s = 0;                    // strategy allocating memory and copying residents
  double run_s = 0;                        // everything but load_s
  std::vector<double> step_s;              // denoise: each step; decode: each latent frame
  Exposed exposed_copy;                    // denoise: by ferried block
  Exposed exposed_exchange;                // denoise, several ranks: by block, last the gather of the result
  std::optional<offload::Report> offload;  // on ranks that ran the stage
  std::size_t weights_peak_bytes = 0;      // device memory for weights, as accounted
  // Breakdown at that moment, by offload/device_account.h's categories.
  std::map<std::string, std::size_t> weights_peak_by_category;
  // LibTorch's device memory: activations and library workspaces.  On the CPU its tensors.
  std::size_t torch_peak_bytes = 0;            // peak held, including memory cached by its allocator
  std::size_t torch_allocated_peak_bytes = 0;  // peak in use
  std::size_t activation_estimate_bytes = 0;   // estimate used by the check before loading
  // Peak host memory of this process: its own pages, file-backed pages, its part of the node's weights.
  std::size_t peak_host_bytes = 0;
};

// Report of one rank at the end.
struct RankRecord {
  int rank = 0;
  std::string host;
  std::string device;
  std::size_t peak_rss_bytes = 0;
  std::vector<StageRecord> stages;
};

std::string to_json(const StageRecord& stage);
std::string to_json(const RankRecord& record);
RankRecord rank_record_from_json(const std::string& text);

// Stalls of the compute stream per denoising step, each on the rank where it was longest: "compute stood
// still 12.3 ms a step for weights, 0.4 ms for exchanges (what copies and gathers slow down is not counted)".
std::string waits_text(const std::vector<RankRecord>& ranks);

// A stage's peak device memory by purpose: "1.540 GB of weights (resident 0.840, slots 0.700) and 0.120 GB of
// activations".
std::string memory_text(const StageRecord& stage);

}  // namespace ferry::worker
