// Writes what a run made: the video, its contact sheet, the tensors and the record.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "checkpoint/quantization/quantization.h"
#include "worker/generate.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/record/record.h"

namespace ferry::worker {

// What the record says beside the job itself.
struct RunFacts {
  std::vector<RankRecord> ranks;
  parallel::Mesh mesh;
  std::string backend;       // of the exchanges: "mpi", "nccl 2.28.9"
  std::string attention;     // the kernel that computed the DiT's: "fa3", "cudnn", "flash"; empty: no DiT
  std::string model_folder;  // that held the checkpoint's files
  std::vector<std::string> notes;  // of Networks
  Clock::time_point begin;         // of the program's work
  double total_s = 0;              // from there until the results were on disk; write_results() sets it
  std::vector<std::pair<std::string, checkpoint::Quantization>>
      quantization{};                          // of the networks that have one
  const checkpoint::LoraFile* lora = nullptr;  // of the DiT, if it has one
  parallel::CfgChoice cfg{};                   // as in Prepared
};

// The video, the sheet, the tensors and the record of what was made, encoded.  All are on disk before the
// first gets its name, so that a full disk leaves none of them.  Throws FileError: no room, no folder, or a
// name that another run has taken meanwhile.  `at_work` is called for each file.
void write_results(const Options& options, const Job& job, const Generation& made, RunFacts& facts,
                   const std::function<void()>& at_work);

// The tensors alone, of what was made: job.save serves as --noise and --context of another run.
void write_tensors(const Job& job, const Generation& made);

// The JSON of the record: options, job, versions, ranks, timings, memory, what offloading did.
std::string record_json(const Options& options, const Job& job, const RunFacts& facts);

}  // namespace ferry::worker
