// Measurements of bench/ on a checkpoint, on the ranks of a job.
#pragma once

#include <string>
#include <vector>

#include "parallel/mpi/session.h"
#include "worker/job/options.h"

namespace ferry::launcher {

struct BenchOptions {
  worker::Options run;  // model, ranks, offload; of the job only size and frames
  int samples = 5;
  int warmups = 1;
  int branches = 1;  // guidance branches per forward
  // Values for bench offload; the rest of a variant is run.offload's for the DiT. For async all combinations
  // of the other lists are measured; another type is one variant.
  std::vector<offload::StrategyKind> types = {offload::StrategyKind::Async};
  std::vector<double> ratios = {1.0, 0.5};
  std::vector<int> prefetches = {1};
  std::vector<offload::Transport> transports = {offload::Transport::Full};
  std::vector<double> shares{};       // transport auto with each of these, after `transports`
  bool json = false;                  // one line of JSON, with versions, instead of a table
  std::vector<std::string> unused{};  // keys that were given and have no effect
};

// DiT forwards by all ranks, printed by rank 0.  Collective over the world.
// Throws UserError, the same on every rank, for faults found before weights are read.
int bench_forward(const BenchOptions& options, parallel::Session& session);

// VAE decodes by rank 0.  Otherwise as above.
int bench_decode(const BenchOptions& options, parallel::Session& session);

// DiT steps under offloading against resident ones and their lower bound, by all ranks.  Otherwise as above.
int bench_offload(const BenchOptions& options, parallel::Session& session);

}  // namespace ferry::launcher
