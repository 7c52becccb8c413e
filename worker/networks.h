// The networks of a checkpoint folder, known by their headers; no weight is read here.
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
#include "worker/roles.h"

namespace ferry::worker {

struct Network {
  Role role = Role::Dit;
  checkpoint::Checkpoint checkpoint;
  model::NetworkSpec spec;
  DType compute = DType::F32;
  std::optional<checkpoint::LoraFile> lora{};  // the DiT's, checked against its spec
  offload::StagePlan plan{};                   // of its weights, by fit_offload()
};

struct Networks {
  ModelFacts facts;
  ByRole<std::optional<Network>> by_role{};  // those that a job of this program has needed
  std::string tokenizer;                     // spiece.model of the text encoder, or empty
  std::string folder;                        // that holds the files: model.path, or a snapshot below it
  std::vector<std::string> notes;            // what was chosen or left out, a line each, for log and record

  std::optional<Network>& operator[](Role role) { return by_role[role]; }
  const std::optional<Network>& operator[](Role role) const { return by_role[role]; }
};

// The network of `role` where the job needs it; else nullptr.
const Network* needed_network(const Networks& networks, Role role, const Given& given);

// Opens the network of each role that a job with `given` needs and that is not open yet: finds its files and
// checks each tensor's name, shape and type, and that none is left out unless model.unexpected says so.
// Throws UserError as checkpoint does.
void open_networks(Networks& networks, const Options& options, const Given& given);
// The same from nothing, for options.job.
Networks open_networks(const Options& options);

// One of them, for the table of roles, where `networks.folder` is known.
void open_dit(Networks& networks, const Options& options);
void open_vae(Networks& networks, const Options& options);
void open_text_encoder(Networks& networks, const Options& options);

}  // namespace ferry::worker
