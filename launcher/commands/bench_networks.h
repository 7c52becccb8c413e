// What the measurements share: one network of a checkpoint, and how a result is printed.
#pragma once

#include <string>

#include "launcher/commands/bench.h"
#include "parallel/mpi/session.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/record/record.h"

namespace ferry::launcher {

// The network of one role, known and checked by its headers; the checkpoint's others need not be there, and
// no LoRA is read.  On every rank.  Collective over the world; throws the same UserError on all.
worker::Networks open_network(worker::Role role, const worker::Options& options, parallel::Session& session);

// The size to measure at, where the user did not say.
inline constexpr std::int64_t kBenchWidth = 416;
inline constexpr std::int64_t kBenchHeight = 240;
inline constexpr std::int64_t kBenchFrames = 17;

// {"versions": {...}, "exchange": what carries activations, <the measurement's line>}
std::string with_versions(const std::string& line, const worker::Rank& rank);

// The same with "stage": the measured stage as the record has it (worker/record/record.h), first rank's.
std::string with_stage(const std::string& line, const worker::Rank& rank, const worker::StageRecord& stage);

}  // namespace ferry::launcher
