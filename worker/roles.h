// The table of roles: all that is particular to one network of a run, but what its stage computes with it.
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

// Who computes a stage: all ranks in step, or the first one while the others wait.
enum class Runs : std::uint8_t { Together, Alone };

// What a job takes from files instead of computing it.
struct Given {
  bool contexts = false;
  bool latents = false;
};
Given given_to(const JobOptions& job);
Given given_to(const Job& job);

// What the memory that a stage takes beside its weights depends on.
struct StageCase {
  const Options& options;
  const Job& job;
  const Networks& networks;
  const parallel::Mesh& mesh;
};

struct RoleEntry {
  Role role;
  std::string_view name;   // in keys ("dit.offload.type", "model.dit_key"), log and record; its spec's name
  std::string_view title;  // in help
  int turn;                // place in the order in which a video needs its networks
  bool exchanges;          // its ranks exchange activations, which copies of weights can make way for
  bool measures_links;     // its stage is long enough for a measurement of the links to pay
  bool (*needed)(const Given& given);
  Runs (*runs)(const Options& options, int ranks);
  // Opens its files, headers only, and checks them.  Throws UserError.
  void (*open)(Networks& networks, const Options& options);
  std::size_t (*activation_bytes)(const StageCase& stage);
};

// In the order of the enum, which is that of keys and help.
std::span<const RoleEntry> roles();
// In the order in which a video needs them.
std::span<const RoleEntry> roles_in_turn();
const RoleEntry& entry_of(Role role);
// "dit", "vae", "text_encoder".
inline std::string_view name_of(Role role) { return entry_of(role).name; }

}  // namespace ferry::worker
