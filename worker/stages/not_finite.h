// Errors for values that stopped being finite, and diagnosis of the origin.
//
// Values are checked between stages: contexts, noise and latents, each step's latent, decoded frames. If a
// check fails, the pass that made the values is repeated with a check of each part's result; the first one
// that fails is the origin, and its weights are searched for the tensor to blame.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/device.h"
#include "base/run_failure.h"
#include "model/tap.h"
#include "model/weights.h"
#include "parallel/mpi/session.h"
#include "worker/stages/finite_flags.h"

namespace ferry::worker {

// Thrown by a stage on every rank.
class NotFinite : public RunFailure {
 public:
  explicit NotFinite(const std::string& what) : RunFailure(what) {}
  // `latent` is the last finite one; `whose` describes it: "the noise", "of step 2".
  NotFinite(const std::string& what, at::Tensor latent, std::string whose)
      : RunFailure(what), latent_(std::move(latent)), whose_(std::move(whose)) {}
  const at::Tensor& latent() const { return latent_; }
  const std::string& whose() const { return whose_; }

 private:
  at::Tensor latent_;
  std::string whose_;
};

// One part of a pass.
struct Place {
  std::string part;  // the tap's name
  int block = 0;     // index, or ModuleId::kHead, kTail
  int turn = 0;      // how often the pass was here before: the guidance branch, or the prompt
};

// The results of a repeated pass, in order.
class FiniteTrail {
 public:
  // Capacity for `most` checks; turns are counted from `first_turn`.
  FiniteTrail(Device& device, std::size_t most, int first_turn = 0);

  // Queues a check, as FiniteFlags.  Throws std::out_of_range.
  void look(std::string_view part, int block, const at::Tensor& values);
  // As above for each result of a network.
  model::Tap tap();

  // The first non-finite result on this rank.  Blocks until the device has passed all checks.
  std::optional<Place> first() const;
  // As above on any rank; every rank must have checked the same parts.  Collective over the world.
  std::optional<Place> first(parallel::Session& session) const;

 private:
  std::optional<std::size_t> first_index() const;
  Device& device_;
  FiniteFlags flags_;
  std::vector<Place> places_;
  int first_turn_;
  std::map<std::pair<std::string, int>, int> turns_;
};

// Describes the origin: "first in block 2 (blocks.2 ffn) for the prompt, where blocks.2.ffn.2.weight is not
// finite", for a pass over `weights`, whose turn was `whose` ("the prompt"; may be empty). Without a place:
// that it could not be reproduced.
std::string begun_at(const std::optional<Place>& place, std::string_view whose, model::Weights& weights);

// Name of a turn if each branch takes one.
std::string_view branch_name(int turn);

}  // namespace ferry::worker
