// The identity of a run (worker/state/identity.h), from its options, job, networks and ranks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/device.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/state/identity.h"

namespace ferry::worker {

// Names of values that others ask for.
inline constexpr const char* kSeedValue = "seed";
inline constexpr const char* kRanksValue = "ranks";
inline constexpr const char* kCfgValue = "cfg";
inline constexpr const char* kAttentionValue = "attention";  // added by UnfinishedRun

struct IdentitySource {
  const Options& options;  // with parallel.cfg resolved
  const Job& job;
  const Networks& networks;
  const parallel::Mesh& mesh;
  DeviceType device = DeviceType::Cpu;
};

// All values; reads the files of noise and contexts.  No tensors of weights yet.
Identity values_of(const IdentitySource& source);

// The networks and the LoRAs that a run uses, to be marked on another thread: copies keep the mappings alive.
struct WeightFiles {
  std::vector<std::pair<std::string, checkpoint::Checkpoint>> networks;
  std::vector<std::shared_ptr<const checkpoint::LoraFile>> loras;
};
WeightFiles weight_files_of(const IdentitySource& source);

// A mark for each tensor: type, shape and a hash of its bytes, of longer ones the first and last 32 KiB.
void add_tensors(Identity& identity, const WeightFiles& files);

}  // namespace ferry::worker
