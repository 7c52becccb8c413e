// A DiT on one rank and over all of them.
#pragma once

#include <cstdint>
#include <memory>

#include "tests/support/torch_ranks_fixture.h"
#include "tests/unit/dit_support.h"

namespace ferry::testing {

class DitRanksTest : public TorchRanksTest {
 protected:
  model::DitRuntime alone(DType compute) { return {.device = &device(), .compute = compute}; }
  model::DitRuntime together(DType compute) {
    return {.device = &device(),
            .ulysses = groups().ulysses.get(),
            .exchange_stream = &exchange(),
            .compute = compute};
  }
  // The same on every rank.
  std::unique_ptr<PlainWeights> weights_of(const model::DitConfig& config, DType compute) {
    return random_weights(config, compute, place());
  }
  at::Tensor latent_of(std::int64_t frames, std::int64_t height, std::int64_t width) {
    return golden_input({16, frames, height, width}, 0.3, 0.11).to(place());
  }
};

}  // namespace ferry::testing
