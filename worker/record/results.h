// Writes the results of a run: the video, its contact sheet, the tensors and the record.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "checkpoint/lora/lora_stack.h"
#include "checkpoint/quantization/quantization.h"
#include "worker/generate.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/record/record.h"

namespace ferry::worker {

// Contents of the record in addition to the job.
struct RunFacts {
  std::vector<RankRecord> ranks;
  parallel::Mesh mesh;
  std::string backend;             // backend of the exchanges: "mpi", "nccl 2.28.9"
  std::string attention;           // kernel of the DiT's attention: "fa3", "cudnn", "flash"; empty: no DiT
  std::string model_folder;        // folder of the checkpoint's files
  std::vector<std::string> notes;  // from Networks
  Clock::time_point begin;         // start of the program's work
  double total_s = 0;              // from `begin` until the results were on disk; set by write_results()
  std::vector<std::pair<std::string, checkpoint::Quantization>> quantization{};  // for networks that have one
  std::shared_ptr<const checkpoint::LoraStack> loras{};                          // the DiT's; nullptr: none
  parallel::CfgChoice cfg{};                                                     // as in Prepared
  int steps_before = 0;  // of an earlier process, from whose state this one went on
};

// Writes the encoded video, the sheet, the tensors and the record.  All are on disk before the first gets its
// name, so that a full disk leaves none of them.  Throws FileError: no space, no folder, or a name taken by
// another run meanwhile.  `at_work` is called for each file.
void write_results(const Options& options, const Job& job, const Generation& made, RunFacts& facts,
                   const std::function<void()>& at_work);

// Writes only the tensors; job.save can serve as --noise and --context of another run.
void write_tensors(const Job& job, const Generation& made);

// The JSON of the record: options, job, versions, ranks, timings, memory, what offloading did.
std::string record_json(const Options& options, const Job& job, const RunFacts& facts);

}  // namespace ferry::worker
