#include "worker/planner/stage_memory.h"

#include "model/text/activations.h"
#include "model/text/umt5_spec.h"
#include "model/vae/activations.h"
#include "model/vae/spec.h"
#include "offload/fit.h"
#include "offload/need.h"

namespace ferry::worker {
namespace {

// Operations of a decode for each pixel of each frame, at Wan's width (wan21.md section 5).
constexpr double kDecodeFlop = 8.48e6;
constexpr double kWanWidth = 96;
constexpr double kDivided = 1.1;  // ranks that share a decode also share what lies between their rows

}  // namespace

StageBytes OtherStages::weights_of(const model::NetworkSpec& spec, const offload::Options& options,
                                   int sharers, bool alone) {
  const Key key{options.type, options.offload_ratio, options.prefetch_size, sharers};
  const auto known = known_.find({key, spec.name});
  if (known != known_.end()) return known->second;
  offload::Options own = options;
  own.transport = offload::Transport::Full;
  own.shared = {"prefetch_size"};
  const offload::StagePlan plan =
      offload::fit(spec, own, {.node_size = sharers, .alone = alone, .gated = false}).plan;
  const StageBytes bytes{.weights = plan.need.bytes, .activations = 0, .host = plan.arena.layout.bytes};
  known_.emplace(std::pair{key, spec.name}, bytes);
  return bytes;
}

std::vector<StageBytes> OtherStages::bytes(const offload::Options& options, int ranks, int sharers) {
  std::vector<StageBytes> all;
  if (model_.text) {
    all.push_back(weights_of(model::umt5_spec(*model_.text, request_.compute), options, sharers, ranks > 1));
    all.back().activations = model::activation_bytes(*model_.text, request_.compute);
  }
  if (model_.vae) {
    all.push_back(
        weights_of(model::vae_decoder_spec(*model_.vae, request_.vae_compute), options, sharers, false));
    all.back().activations = model::activation_bytes(
        *model_.vae, {.width = job_.width, .height = job_.height, .ranks = ranks}, request_.vae_compute);
  }
  return all;
}

std::size_t OtherStages::text_bytes() const {
  if (!model_.text) return 0;
  return offload::arena_plan(model::umt5_spec(*model_.text, request_.compute), 1).layout.bytes;
}

// Every weight but the embedding's is used once for each token.
double OtherStages::text_s(const MachineRates& machine) const {
  if (!model_.text) return 0;
  const model::Umt5Config& text = *model_.text;
  const auto size = static_cast<double>(size_of(request_.compute));
  const double parameters =
      static_cast<double>(text_bytes()) / size - static_cast<double>(text.vocab * text.dim);
  const double flop = 2 * parameters * static_cast<double>(text.text_len) * (job_.guided ? 2 : 1);
  return flop * 1e-12 / linear_rate(machine.of(1), text.text_len, text.dim, text.ffn_dim).value;
}

double OtherStages::decode_s(const MachineRates& machine, int ranks) const {
  if (!model_.vae) return 0;
  const double width = static_cast<double>(model_.vae->base_dim) / kWanWidth;
  const double flop =
      kDecodeFlop * width * width * static_cast<double>(job_.width * job_.height * job_.frames);
  return flop * 1e-12 / machine.decode_tflops.value / ranks * (ranks > 1 ? kDivided : 1);
}

}  // namespace ferry::worker
