// The networks of a checkpoint folder, from their headers; no weight is read here.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/lora/lora_stack.h"
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
  // The job's LoRAs, checked against the spec; nullptr: none.
  std::shared_ptr<const checkpoint::LoraStack> loras{};
  offload::StagePlan plan{};  // plan of its weights, set by fit_offload()
};

struct Networks {
  ModelFacts facts;
  ByRole<std::optional<Network>> by_role{};  // networks that jobs of this program have needed
  std::string tokenizer;                     // the text encoder's spiece.model, or empty
  std::string folder;                        // folder of the files: model.path, or a snapshot below it
  std::vector<std::string> notes;            // choices and omissions, one line each, for log and record
  std::map<std::string, std::shared_ptr<const checkpoint::LoraFile>> lora_files;  // opened so far, by path

  std::optional<Network>& operator[](Role role) { return by_role[role]; }
  const std::optional<Network>& operator[](Role role) const { return by_role[role]; }
};

// The network of `role` if the job needs it; else nullptr.
const Network* needed_network(const Networks& networks, Role role, const Given& given);

// Opens the networks that a job with `given` needs and that are not open yet: finds their files and checks
// each tensor's name, shape and type, and that none is unused unless model.unexpected allows it.
// Throws UserError as checkpoint does.
void open_networks(Networks& networks, const Options& options, const Given& given);
// Opens the LoRAs of options.job for the DiT, if that is open, unless an earlier job did.
// Throws UserError as checkpoint::LoraFile::open does.
void open_loras(Networks& networks, const Options& options);
// As open_networks() for options.job, with no networks open yet, and its LoRAs.
Networks open_networks(const Options& options);

// For the table of roles: open one network; `networks.folder` must be known.
void open_dit(Networks& networks, const Options& options);
void open_vae(Networks& networks, const Options& options);
void open_text_encoder(Networks& networks, const Options& options);

// A DiT of these dimensions, of which there are no files: for plans, nothing can be loaded from it.
void plan_dit(Networks& networks, const Options& options, const model::DitConfig& dit);

}  // namespace ferry::worker
