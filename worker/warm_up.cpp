#include "worker/warm_up.h"

#include <ATen/ops/empty_strided.h>

#include <map>
#include <utility>

#include "model/dit/dit.h"
#include "model/dit/spec.h"
#include "model/tensor.h"
#include "offload/layout.h"
#include "worker/branches.h"
#include "worker/gpu.h"

namespace ferry::worker {
namespace {

constexpr double kValue = 0.01;          // of every weight: results stay finite
constexpr double kTimestep = 500;        // of 1000
constexpr std::size_t kBytes = 1 << 20;  // of a shard that is gathered

// Weights that were never in a file.
class MadeUp final : public model::Weights {
 public:
  MadeUp(model::NetworkSpec spec, const Device& device) : spec_(std::move(spec)) {
    const at::TensorOptions options(model::torch_device(device));
    for (const model::ModuleId id : offload::all_modules(spec_)) {
      const model::ModuleSpec& module = model::module_of(spec_, id);
      for (const model::TensorSpec& tensor : module.tensors) {
        const model::MemoryFormat format = model::memory_format(tensor);
        tensors_[module.name].push_back(
            at::empty_strided(format.shape, format.strides, options.dtype(model::scalar_type(tensor.dtype))));
        tensors_[module.name].back().fill_(kValue);
      }
    }
  }
  const model::NetworkSpec& spec() const override { return spec_; }
  void begin(const model::PassKey&) override {}
  void end() override {}
  void acquire_block(int) override {}
  void release_block(int) override {}
  model::ModuleView acquire(model::ModuleId id) override { return {.tensors = on_host(id)}; }
  void release(model::ModuleId) override {}
  std::span<const at::Tensor> on_host(model::ModuleId id) override {
    return tensors_.at(model::module_of(spec_, id).name);
  }

 private:
  model::NetworkSpec spec_;
  std::map<std::string, std::vector<at::Tensor>> tensors_;  // by module
};

void run_one_layer(const StageInput& input, const std::vector<at::Tensor>& contexts,
                   const at::Tensor& noise) {
  Rank& rank = *input.rank;
  model::DitConfig config = input.networks->facts.dit;
  config.layers = 1;
  const DType compute = input.networks->dit->compute;
  MadeUp weights(model::dit_spec(config, compute), *rank.device);
  model::DitRuntime runtime = dit_runtime(rank, compute);
  runtime.trace = nullptr;
  model::Dit dit(config, weights, runtime);
  Branches branches(input, dit, contexts);
  branches(noise, kTimestep);
  // What is computed once is done; the next step runs as all others.
  combined(branches(noise, kTimestep), input.job->guidance);
  rank.device->compute().synchronize();
}

// The shards' gathers are on a communicator of their own.
void gather_once(Rank& rank) {
  parallel::Group& group = *rank.groups.weights;
  const auto ranks = static_cast<std::size_t>(group.size());
  if (ranks == 1) return;
  Stream& stream = rank.on_gpu() ? rank.device->compute() : rank.session->comm();
  const DeviceMemory memory = rank.device->allocate(ranks * kBytes);
  const auto mine = static_cast<std::size_t>(group.rank()) * kBytes;
  stream.fill(memory.data(), 0, memory.bytes());
  group.all_gather(memory.data(), memory.data() + mine, kBytes, stream);
  stream.synchronize();
}

}  // namespace

void warm_up(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise) {
  run_one_layer(input, contexts, noise);
  gather_once(*input.rank);
  release_torch_cache(*input.rank->device);
}

}  // namespace ferry::worker
