// Blocks of a forward while others are on their way: the pipeline of offload/async/async.h, in numbers.
#pragma once

#include <vector>

namespace ferry::worker {

struct PipelineCase {
  std::vector<double> compute_s{};  // of each block
  std::vector<bool> ferried{};      // each block
  double head_s = 0;                // before the first block
  double tail_s = 0;                // behind the last
  double copy_s = 0;                // of a ferried block, over the rank's link
  double gather_s = 0;              // of its shares, from the other ranks
  bool together = false;            // a gather runs while its block is copied (copy engines), else behind
  int slots = 2;                    // blocks that have room; 1 or more
};

struct PipelineTime {
  double forward_s = 0;
  double waits_s = 0;  // of it, computing waited for blocks
};

// One forward of many that follow each other without a pause: the copies of the next one begin as soon as
// slots are free.
PipelineTime steady_forward(const PipelineCase& pipeline);

}  // namespace ferry::worker
