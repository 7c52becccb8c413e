// What a run did, in numbers: gathered while it runs, written to the record at its end.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/stream_timer.h"
#include "offload/report.h"

namespace ferry::worker {

// How long the compute stream waited, by the device's own events.
struct Exposed {
  double ms = 0;
  std::vector<double> ms_by_step;
  std::vector<double> ms_by_block;  // mean of one forward
};

// `times` of passes that are equally many in each of `steps` steps.
Exposed exposed_of(const StreamTimes& times, int steps);

struct StageRecord {
  std::string name;                        // "text", "denoise", "decode"
  double warm_up_s = 0;                    // denoise on a GPU: two blocks ran while the weights were read
  double load_s = 0;                       // waited for the node's copy: read, converted, placed
  double pin_s = 0;                        // waited until what is copied first was page-locked, after that
  double pin_first_s = 0;                  // page-locking that took on its own thread, once all was read
  double pin_all_s = 0;                    // all of it, up to there beside the first steps; 0: not over
  double prepare_s = 0;                    // the strategy took its memory and copied what is resident
  double run_s = 0;                        // everything but load_s
  std::vector<double> step_s;              // denoise: each step; decode: each latent frame
  Exposed exposed_copy;                    // denoise: by ferried block
  Exposed exposed_exchange;                // denoise, several ranks: by block, last the gather of the result
  std::optional<offload::Report> offload;  // of the ranks that ran the stage
  std::size_t weights_peak_bytes = 0;      // device memory for weights, as accounted
  // The same at that moment, by offload/device_account.h's categories.
  std::map<std::string, std::size_t> weights_peak_by_category;
  // Device memory of LibTorch: activations and the libraries' workspaces.  On the CPU its tensors.
  std::size_t torch_peak_bytes = 0;            // held at most, with what its allocator keeps for later
  std::size_t torch_allocated_peak_bytes = 0;  // in use at most
  std::size_t activation_estimate_bytes = 0;   // what the check before loading took them to be
  // Most host memory of this process: its own pages, those of files, its part of the node's weights.
  std::size_t peak_host_bytes = 0;
};

// One rank, as it reports itself at the end.
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

// How long the compute stream stood still in a step of the denoising, for each of the two on the rank where
// that was longest: "compute stood still 12.3 ms a step for weights, 0.4 ms for exchanges (what copies and
// gathers slow down is not counted)".
std::string waits_text(const std::vector<RankRecord>& ranks);

// The most device memory a stage took, by what it was for: "1.540 GB of weights (resident 0.840, slots 0.700)
// and 0.120 GB of activations".
std::string memory_text(const StageRecord& stage);

}  // namespace ferry::worker
