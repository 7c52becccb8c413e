// Shared by the measurements: one network of a checkpoint, and printing of results.
#pragma once

#include <string>

#include "launcher/commands/bench.h"
#include "parallel/mpi/session.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/record/record.h"

namespace ferry::launcher {

// Opens the network of one role, checked by its headers; the checkpoint's others need not exist, and no LoRA
// is read.  On every rank.  Collective over the world; throws the same UserError on all.
worker::Networks open_network(worker::Role role, const worker::Options& options, parallel::Session& session);

// Default size of measurements.
inline constexpr std::int64_t kBenchWidth = 416;
inline constexpr std::int64_t kBenchHeight = 240;
inline constexpr std::int64_t kBenchFrames = 17;

// {"versions": {...}, "exchange": transport of activations, <the measurement's line>}
std::string with_versions(const std::string& line, const worker::Rank& rank);

// As above with "stage": the first rank's measured stage in the record's form (worker/record/record.h).
std::string with_stage(const std::string& line, const worker::Rank& rank, const worker::StageRecord& stage);

}  // namespace ferry::launcher
