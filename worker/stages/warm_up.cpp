#include "worker/stages/warm_up.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "model/dit/dit.h"
#include "model/dit/spec.h"
#include "model/tensor.h"
#include "model/vae/vae.h"
#include "offload/arena/layout.h"
#include "offload/arena/views.h"
#include "worker/gpu.h"
#include "worker/stages/branches.h"
#include "worker/stages/vae_runtime.h"

namespace ferry::worker {
namespace {

constexpr double kValue = 0.01;          // value of all weights: results stay finite
constexpr double kTimestep = 500;        // of 1000
constexpr std::size_t kBytes = 1 << 20;  // size of a gathered shard
constexpr int kLayers = 2;               // the first differs from the others (model/dit/block.cpp)
constexpr std::int64_t kChunks = 2;      // latent frames: the first differs from the others

bool alike(const model::BlockSpec& a, const model::BlockSpec& b) {
  const auto same_tensor = [](const model::TensorSpec& x, const model::TensorSpec& y) {
    return x.shape == y.shape && x.dtype == y.dtype && x.layout == y.layout;
  };
  const auto same_module = [&](const model::ModuleSpec& x, const model::ModuleSpec& y) {
    return std::ranges::equal(x.tensors, y.tensors, same_tensor);
  };
  return std::ranges::equal(a.modules, b.modules, same_module);
}

// Made-up weights; consecutive equal blocks share them.  Not from LibTorch's allocator, which may keep
// memory.
class MadeUp final : public model::Weights {
 public:
  MadeUp(model::NetworkSpec spec, Device& device) : spec_(std::move(spec)), device_(device) {
    const offload::ArenaLayout layout = offload::arena_layout(spec_, 1);
    head_ = make(layout.head);
    for (std::size_t i = 0; i < layout.blocks.size(); ++i) {
      const bool again = i > 0 && alike(spec_.blocks[i], spec_.blocks[i - 1]);
      blocks_.push_back(again ? blocks_.back() : make(layout.blocks[i]));
    }
    tail_ = make(layout.tail);
  }
  const model::NetworkSpec& spec() const override { return spec_; }
  void begin(const model::PassKey&) override {}
  void end() override {}
  void acquire_block(int) override {}
  void release_block(int) override {}
  model::ModuleView acquire(model::ModuleId id) override { return {.tensors = on_host(id)}; }
  void release(model::ModuleId) override {}
  std::span<const at::Tensor> on_host(model::ModuleId id) override {
    const offload::BlockViews& part = id.block == model::ModuleId::kHead   ? head_
                                      : id.block == model::ModuleId::kTail ? tail_
                                                                           : blocks_.at(index(id.block));
    return part.at(index(id.module));
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  offload::BlockViews make(const offload::BlockPlace& part) {
    memory_.push_back(device_.allocate(part.blob.bytes));
    offload::BlockViews views =
        offload::make_views(part, memory_.back().data(), model::torch_device(device_));
    for (const std::vector<at::Tensor>& module : views) {
      for (const at::Tensor& tensor : module) tensor.fill_(kValue);
    }
    return views;
  }

  model::NetworkSpec spec_;
  Device& device_;
  std::vector<DeviceMemory> memory_;
  offload::BlockViews head_;
  std::vector<offload::BlockViews> blocks_;
  offload::BlockViews tail_;
};

// Stand-ins for the key and value caches of the omitted blocks.
std::vector<at::Tensor> other_caches(const model::DitConfig& whole, const Branches& branches) {
  std::vector<at::Tensor> caches;
  for (const model::DitContext& context : branches.mine()) {
    for (std::int64_t i = 0; i < 2 * (whole.layers - kLayers); ++i) {
      caches.push_back(at::empty_like(context.text));
    }
  }
  return caches;
}

void run_layers(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
                bool keep_memory) {
  Rank& rank = *input.rank;
  const model::DitConfig& whole = input.networks->facts.dit;
  model::DitConfig config = whole;
  config.layers = kLayers;
  const DType compute = input.network(Role::Dit).compute;
  MadeUp weights(model::dit_spec(config, compute), *rank.device);
  model::DitRuntime runtime = rank.dit_runtime(compute);
  runtime.trace = nullptr;
  model::Dit dit(config, weights, runtime);
  Branches branches(input, dit, contexts);
  branches(noise, kTimestep);
  // One-time work is done; the next step runs like all later ones, with the same caches in memory.
  std::vector<at::Tensor> kept;
  if (keep_memory) kept = other_caches(whole, branches);
  combined(branches(noise, kTimestep), input.job->guidance);
  rank.device->compute().synchronize();
}

// Gathers of shards use a separate communicator.
void gather_once(Rank& rank) {
  parallel::Group& group = *rank.groups.copy_sharers;
  const auto ranks = static_cast<std::size_t>(group.size());
  if (ranks == 1) return;
  Stream& stream = rank.on_gpu() ? rank.device->compute() : rank.exchange_stream();
  const DeviceMemory memory = rank.device->allocate(ranks * kBytes);
  const auto mine = static_cast<std::size_t>(group.rank()) * kBytes;
  stream.fill(memory.data(), 0, memory.bytes());
  group.all_gather(memory.data(), memory.data() + mine, kBytes, stream);
  stream.synchronize();
}

}  // namespace

bool has_plenty(std::size_t weights, std::size_t activations, std::size_t free) {
  return weights + 2 * activations <= free / 10 * 9;
}

void warm_up_decoding(const StageInput& input) {
  const model::VaeRuntime runtime = vae_runtime(input);
  if (runtime.group == nullptr && !input.rank->is_first()) return;
  Device& device = *input.rank->device;
  std::array<std::int64_t, 4> shape = input.job->latent_shape;
  shape[1] = std::min(shape[1], kChunks);
  const at::Tensor latent =
      at::zeros(shape, at::TensorOptions(model::torch_device(device)).dtype(at::kFloat));
  MadeUp weights(model::vae_decoder_spec(input.networks->facts.vae, runtime.compute), device);
  model::VaeDecoder decoder(input.networks->facts.vae, weights, runtime);
  decoder.decode(latent, [](std::int64_t, const at::Tensor&) {});
  device.compute().synchronize();
  release_torch_cache(device);
}

void warm_up(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
             std::size_t activation_bytes) {
  const std::size_t weights = offload::arena_layout(input.network(Role::Dit).spec, 1).bytes;
  const bool keep_memory = has_plenty(weights, activation_bytes, input.rank->device->memory().free_bytes);
  run_layers(input, contexts, noise, keep_memory);
  gather_once(*input.rank);
  // The strategy's memory comes next, which LibTorch's allocator does not provide.
  if (!keep_memory) release_torch_cache(*input.rank->device);
}

}  // namespace ferry::worker
