// The table of roles: everything specific to one network, except what its stage computes.
//
// Options, loading, the checks of memory, the plan, the record and help go through the table in roles.cpp.
// What else a further network needs: docs/architecture.md, "Where to add".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "parallel/mesh.h"
#include "worker/role.h"

namespace ferry::worker {

struct Job;
struct JobOptions;
struct Networks;
struct Options;

// Ranks that compute a stage: all in lockstep, or the first one while the others wait.
enum class Runs : std::uint8_t { AllRanks, FirstRank };

// Inputs that a job reads from files instead of computing them.
struct Given {
  bool contexts = false;
  bool latents = false;
};
Given given_to(const JobOptions& job);
Given given_to(const Job& job);

// Parameters of a stage's activation memory.
struct StageCase {
  const Options& options;
  const Job& job;
  const Networks& networks;
  const parallel::Mesh& mesh;
};

struct RoleEntry {
  Role role;
  std::string_view
      name;  // in keys ("dit.offload.type", "model.dit_key"), log and record; equals the spec's name
  std::string_view title;  // in help
  int turn;                // position in the order in which a video uses its networks
  bool exchanges;          // its ranks exchange activations, which weight copies can avoid
  bool measures_links;     // its stage is long enough to justify measuring the links
  bool (*needed)(const Given& given);
  Runs (*runs)(const Options& options, int ranks);
  // Opens and checks its files, headers only.  Throws UserError.
  void (*open)(Networks& networks, const Options& options);
  std::size_t (*activation_bytes)(const StageCase& stage);
};

// In enum order, which is that of keys and help.
std::span<const RoleEntry> roles();
// In the order in which a video uses them.
std::span<const RoleEntry> roles_in_turn();
const RoleEntry& entry_of(Role role);
// "dit", "vae", "text_encoder".
inline std::string_view name_of(Role role) { return entry_of(role).name; }

}  // namespace ferry::worker
