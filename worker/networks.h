// The three networks of a checkpoint folder, known by their headers; no weight is read here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/lora/lora.h"
#include "model/weights.h"
#include "offload/plan.h"
#include "worker/job/options.h"
#include "worker/job/resolve.h"

namespace ferry::worker {

struct Network {
  checkpoint::Checkpoint checkpoint;
  model::NetworkSpec spec;
  DType compute = DType::F32;
  std::optional<checkpoint::LoraFile> lora{};  // the DiT's, checked against its spec
  offload::StagePlan plan{};                   // of its weights, by fit_offload()
};

struct Networks {
  ModelFacts facts;
  std::optional<Network> dit;  // not there when latents are only decoded
  Network vae;
  std::optional<Network> text;     // nor when the contexts come from a file
  std::string tokenizer;           // spiece.model, or empty
  std::string folder;              // that holds the files: model.path, or a snapshot below it
  std::vector<std::string> notes;  // what was chosen or left out, a line each, for log and record
};

// Opens every part that the job needs and checks each tensor's name, shape and type, and that none is left
// out unless model.unexpected says so.
// Throws UserError as checkpoint does.
Networks open_networks(const Options& options);

}  // namespace ferry::worker
