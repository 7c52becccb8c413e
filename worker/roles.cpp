#include "worker/roles.h"

#include <algorithm>
#include <array>

#include "worker/job/activations.h"
#include "worker/networks.h"

namespace ferry::worker {
namespace {

Runs all_ranks(const Options&, int) { return Runs::AllRanks; }

Runs first_rank(const Options&, int) { return Runs::FirstRank; }

Runs decoding(const Options& options, int ranks) {
  return options.parallel.split_vae && ranks > 1 ? Runs::AllRanks : Runs::FirstRank;
}

std::size_t denoising_bytes(const StageCase& stage) {
  return activation_bytes(stage.networks.facts.dit, dit_activations(stage.options, stage.job, stage.mesh),
                          stage.networks[Role::Dit]->compute);
}

std::size_t decoding_bytes(const StageCase& stage) {
  return activation_bytes(stage.networks.facts.vae, vae_activations(stage.options, stage.job, stage.mesh),
                          stage.networks[Role::Vae]->compute);
}

std::size_t encoding_bytes(const StageCase& stage) {
  return activation_bytes(*stage.networks.facts.text, stage.networks[Role::TextEncoder]->compute);
}

constexpr std::array<RoleEntry, kRoleCount> kRoles = {
    {{.role = Role::Dit,
      .name = "dit",
      .title = "DiT",
      .turn = 1,
      .exchanges = true,
      .measures_links = true,
      .needed = [](const Given& given) { return !given.latents; },
      .runs = all_ranks,
      .open = open_dit,
      .activation_bytes = denoising_bytes},
     {.role = Role::Vae,
      .name = "vae",
      .title = "VAE",
      .turn = 2,
      .exchanges = false,
      .measures_links = false,
      .needed = [](const Given&) { return true; },
      .runs = decoding,
      .open = open_vae,
      .activation_bytes = decoding_bytes},
     {.role = Role::TextEncoder,
      .name = "text_encoder",
      .title = "text encoder",
      .turn = 0,
      .exchanges = false,
      .measures_links = true,
      .needed = [](const Given& given) { return !given.latents && !given.contexts; },
      .runs = first_rank,
      .open = open_text_encoder,
      .activation_bytes = encoding_bytes}}};

constexpr bool in_order_of_the_enum() {
  for (std::size_t i = 0; i < kRoleCount; ++i) {
    if (static_cast<std::size_t>(kRoles[i].role) != i || kRoles[i].name.empty()) return false;
  }
  return true;
}
static_assert(in_order_of_the_enum(), "each role has its entry, where entry_of() looks for it");

constexpr std::array<RoleEntry, kRoleCount> sorted_by_turn() {
  std::array<RoleEntry, kRoleCount> sorted = kRoles;
  std::ranges::sort(sorted, {}, &RoleEntry::turn);
  return sorted;
}

constexpr std::array<RoleEntry, kRoleCount> kInTurn = sorted_by_turn();

}  // namespace

Given given_to(const JobOptions& job) {
  return {.contexts = !job.context.empty(), .latents = !job.latents.empty()};
}

Given given_to(const Job& job) { return {.contexts = !job.context.empty(), .latents = !job.latents.empty()}; }

std::span<const RoleEntry> roles() { return kRoles; }

std::span<const RoleEntry> roles_in_turn() { return kInTurn; }

const RoleEntry& entry_of(Role role) { return kRoles.at(static_cast<std::size_t>(role)); }

}  // namespace ferry::worker
