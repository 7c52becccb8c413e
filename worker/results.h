// Writes what a run made: the video, its contact sheet, the tensors, and last the sidecar.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/quantization.h"
#include "worker/generate.h"
#include "worker/job.h"
#include "worker/options.h"
#include "worker/record.h"

namespace ferry::worker {

// What the sidecar says beside the job itself.
struct RunFacts {
  std::vector<RankRecord> ranks;
  parallel::Mesh mesh;
  std::string backend;             // of the exchanges: "mpi", "nccl 2.28.9"
  std::string model_folder;        // that held the checkpoint's files
  std::vector<std::string> notes;  // of Networks
  double total_s = 0;              // from the start of the program's work
  std::vector<std::pair<std::string, model::Quantization>> quantization{};  // of the networks that have one
  const model::LoraFile* lora = nullptr;                                    // of the DiT, if it has one
};

// The video, the sheet and the tensors.  Each appears whole or not at all.
void write_results(const Job& job, const Generation& made);

// The tensors alone, of what was made: job.save serves as --noise and --context of another run.
void write_tensors(const Job& job, const Generation& made);

// The JSON of the sidecar: options, job, versions, ranks, timings, memory, what offloading did.
std::string sidecar_json(const Options& options, const Job& job, const RunFacts& facts);

}  // namespace ferry::worker
