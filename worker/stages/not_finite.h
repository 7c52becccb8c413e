// A run whose values stopped being finite, and where that began.
//
// Values are looked at where stages meet: contexts, noise and latents, each step's latent, decoded frames.
// When one of them is not finite, the pass that made it is run again with a look at each part's result; the
// first that is not finite says where it began, and the weights there are read for the tensor to blame.
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

// Thrown by a stage on every rank alike.
class NotFinite : public RunFailure {
 public:
  explicit NotFinite(const std::string& what) : RunFailure(what) {}
  // `latent` was the last to be finite; `whose` says which: "the noise", "of step 2".
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
  std::string part;  // as the tap calls it
  int block = 0;     // or ModuleId::kHead, kTail
  int turn = 0;      // which of the times the pass came there: the guidance branch, or the prompt
};

// The results of a pass that is run again, in their order.
class FiniteTrail {
 public:
  // Room for `most` looks; turns are counted from `first_turn`.
  FiniteTrail(Device& device, std::size_t most, int first_turn = 0);

  // Queued as by FiniteFlags.  Throws std::out_of_range.
  void look(std::string_view part, int block, const at::Tensor& values);
  // The same for each result of a network.
  model::Tap tap();

  // The first result that is not finite on this rank.  Blocks until the device has passed all looks.
  std::optional<Place> first() const;
  // On any rank; every rank has looked at the same parts.  Collective over the world.
  std::optional<Place> first(parallel::Session& session) const;

 private:
  std::optional<std::size_t> first_index() const;
  Device& device_;
  FiniteFlags flags_;
  std::vector<Place> places_;
  int first_turn_;
  std::map<std::pair<std::string, int>, int> turns_;
};

// "first in block 2 (blocks.2 ffn) for the prompt, where blocks.2.ffn.2.weight is not finite", from a pass
// over `weights`, whose turn was `whose` ("the prompt"; may be empty); without a place: that it could not be
// repeated.
std::string begun_at(const std::optional<Place>& place, std::string_view whose, model::Weights& weights);

// Whose turn it is where each branch takes one.
std::string_view branch_name(int turn);

}  // namespace ferry::worker
