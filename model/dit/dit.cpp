#include "model/dit/dit.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

#include "model/dit/block.h"
#include "model/dit/embed.h"
#include "model/dit/head.h"
#include "model/dit/pass.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "parallel/watch/ticks.h"

namespace ferry::model {

struct Dit::State {
  DitConfig config;
  Weights& weights;
  DitRuntime runtime;
  std::optional<parallel::HeadExchange> exchange;
  std::optional<Workspace> work;
};

namespace {

void check(const DitConfig& config, const Weights& weights, const DitRuntime& runtime) {
  if (runtime.device == nullptr) throw std::invalid_argument("Dit: no device");
  const auto layers = static_cast<std::int64_t>(weights.spec().blocks.size());
  if (layers != config.layers) {
    throw std::invalid_argument(
        fmt::format("Dit: weights of {} blocks for {} layers", layers, config.layers));
  }
  const int ranks = runtime.ulysses == nullptr ? 1 : runtime.ulysses->size();
  if (config.heads < ranks) {
    throw std::invalid_argument(fmt::format("Dit: {} heads are too few for {} ranks", config.heads, ranks));
  }
}

parallel::ExchangeSetup exchange_setup(const DitRuntime& runtime) {
  return {.device = runtime.device,
          .group = runtime.ulysses,
          .stream = runtime.exchange_stream,
          .gate = runtime.gate,
          .trace = runtime.trace,
          .ticks = runtime.ticks};
}

kernels::Grid grid_of(const DitConfig& config, const at::Tensor& latent) {
  require(latent, DType::F32, std::array<std::int64_t, 4>{config.in_channels, -1, -1, -1}, "DiT latent");
  if (latent.size(2) % 2 != 0 || latent.size(3) % 2 != 0 || latent.numel() == 0) {
    throw std::invalid_argument(
        fmt::format("DiT latent: height {} and width {} must be even", latent.size(2), latent.size(3)));
  }
  return {.frames = latent.size(1), .rows = latent.size(2) / 2, .cols = latent.size(3) / 2};
}

void check(const DitConfig& config, std::span<DitContext* const> branches) {
  if (branches.empty()) throw std::invalid_argument("Dit::forward: no guidance branch");
  for (const DitContext* branch : branches) {
    if (static_cast<std::int64_t>(branch->blocks.size()) != config.layers) {
      throw std::invalid_argument("Dit::forward: a branch that encode_context did not make");
    }
  }
}

// Runs the blocks in order, and says so.
void run_blocks(const Pass& pass, std::span<DitContext* const> branches) {
  const DitRuntime& runtime = pass.runtime;
  std::optional<PendingSum> pending;
  for (int block = 0; block < static_cast<int>(pass.config.layers); ++block) {
    if (runtime.ticks != nullptr) runtime.ticks->block(block);
    pending = block == 0 ? run_first_block(pass, branches) : run_block(pass, block, branches, pending);
    if (runtime.after_block) runtime.after_block(block);
  }
}

template <class Work>
auto heard(const DitRuntime& runtime, const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    if (runtime.failed) runtime.failed(error);
    throw;
  }
}

}  // namespace

Dit::Dit(const DitConfig& config, Weights& weights, DitRuntime runtime) {
  check(config, weights, runtime);
  state_ = std::make_unique<State>(State{config, weights, std::move(runtime), {}, {}});
  const parallel::Group* group = state_->runtime.ulysses;
  if (group != nullptr && group->size() > 1) {
    state_->exchange.emplace(exchange_setup(state_->runtime), config.heads, static_cast<int>(config.layers));
  }
}

Dit::~Dit() = default;
Dit::Dit(Dit&&) noexcept = default;

DitContext Dit::encode_context(const at::Tensor& context) {
  const DitConfig& config = state_->config;
  if (context.dim() != 2 || context.size(0) < 1 || context.size(0) > config.text_len ||
      context.size(1) != config.text_dim) {
    throw std::invalid_argument(
        fmt::format("DiT context: expected [1..{}, {}], got {} dimensions, {} elements", config.text_len,
                    config.text_dim, context.dim(), context.numel()));
  }
  const at::NoGradGuard no_grad;
  const TorchStream on(*state_->runtime.device);
  PassScope pass(state_->weights, {.kind = "context", .branches = 1});
  DitContext branch;
  branch.text = embed_text(config, state_->weights, state_->runtime, context);
  branch.blocks.resize(static_cast<std::size_t>(config.layers));
  if (state_->runtime.tap) state_->runtime.tap("text_embedding", ModuleId::kHead, branch.text);
  pass.end();
  return branch;
}

std::vector<at::Tensor> Dit::forward(const at::Tensor& latent, double timestep,
                                     std::span<DitContext* const> branches) {
  State& state = *state_;
  const kernels::Grid grid = grid_of(state.config, latent);
  check(state.config, branches);
  const at::NoGradGuard no_grad;
  const TorchStream on(*state.runtime.device);
  if (!state.work || !state.work->fits(grid, branches.size())) {
    state.work.reset();
    state.work = make_workspace(state.config, state.runtime, grid, branches.size());
  }
  PassScope scope(state.weights, {.kind = "forward", .branches = static_cast<int>(branches.size())});
  std::vector<at::Tensor> velocities = heard(state.runtime, [&] { return run(latent, timestep, branches); });
  scope.end();
  return velocities;
}

std::vector<at::Tensor> Dit::run(const at::Tensor& latent, double timestep,
                                 std::span<DitContext* const> branches) {
  State& state = *state_;
  if (state.exchange) state.exchange->begin_pass(branches.size());
  embed_patches(state.config, state.weights, state.runtime, *state.work, latent.contiguous());
  TimeEmbedding time = embed_time(state.config, state.weights, state.runtime, timestep);
  const Pass pass = {state.config,
                     state.weights,
                     state.runtime,
                     *state.work,
                     state.exchange ? &*state.exchange : nullptr,
                     std::move(time.e),
                     std::move(time.e0)};
  pass.tap("patch_embedding", ModuleId::kHead, state.work->x[0]);
  pass.tap("time_embedding", ModuleId::kHead, pass.e);
  pass.tap("time_projection", ModuleId::kHead, pass.e0);
  run_blocks(pass, branches);
  return run_head(pass);
}

void Dit::set_tap(Tap tap) { state_->runtime.tap = std::move(tap); }

StreamTimes Dit::exchange_waits() { return state_->exchange ? state_->exchange->waits() : StreamTimes{}; }

}  // namespace ferry::model
