// What a run did, in numbers: gathered while it runs, written to the sidecar at its end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "offload/report.h"

namespace ferry::worker {

struct StageRecord {
  std::string name;                        // "text", "denoise", "decode"
  double load_s = 0;                       // from files into the node's copy
  double run_s = 0;                        // everything else
  std::vector<double> step_s;              // denoise: each step; decode: each latent frame
  std::optional<offload::Report> offload;  // of the ranks that ran the stage
  std::size_t weights_peak_bytes = 0;      // device memory for weights, as accounted
  std::size_t torch_peak_bytes = 0;        // device memory that LibTorch held; 0 on the CPU
  std::size_t peak_pss_bytes = 0;          // most host memory of this process, shared pages divided
};

// One rank, as it reports itself at the end.
struct RankRecord {
  int rank = 0;
  std::string host;
  std::string device;
  std::size_t peak_rss_bytes = 0;
  std::vector<StageRecord> stages;
};

std::string to_json(const RankRecord& record);
RankRecord rank_record_from_json(const std::string& text);

}  // namespace ferry::worker
