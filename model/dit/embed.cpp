#include "model/dit/embed.h"

#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <array>

#include "model/dit/linear.h"
#include "model/kernels/gelu.h"
#include "model/kernels/patch.h"
#include "model/kernels/sinusoid.h"
#include "model/tensor.h"

namespace ferry::model {

namespace {

at::Tensor through(Weights& weights, DitHead module, const at::Tensor& x) {
  const ModuleScope scope(weights, id_of(module));
  return linear(x, scope.view());
}

}  // namespace

TimeEmbedding embed_time(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                         double timestep) {
  const TraceScope span(runtime.trace, Lane::Compute, "embed time", runtime.device->compute());
  const at::Tensor sinusoid =
      empty(std::array<std::int64_t, 2>{1, config.freq_dim}, DType::F32, *runtime.device);
  kernels::time_sinusoid(timestep, sinusoid.data_ptr<float>(), config.freq_dim, runtime.device->compute());
  const at::Tensor hidden = at::silu(through(weights, DitHead::Time0, sinusoid));
  TimeEmbedding time;
  time.e = through(weights, DitHead::Time2, hidden);
  time.e0 = through(weights, DitHead::TimeProjection, at::silu(time.e)).view({6, config.dim});
  return time;
}

void embed_patches(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                   const Workspace& work, const at::Tensor& latent) {
  const TraceScope span(runtime.trace, Lane::Compute, "embed patches", runtime.device->compute());
  const std::int64_t real = work.shard.real;
  const at::Tensor patches =
      empty(std::array{real, config.in_channels * 4}, runtime.compute, *runtime.device);
  kernels::patchify({.latent = latent.data_ptr<float>(),
                     .out = patches.data_ptr(),
                     .out_type = runtime.compute,
                     .grid = work.grid,
                     .channels = config.in_channels,
                     .first = work.shard.begin,
                     .count = real},
                    runtime.device->compute());
  const ModuleScope scope(weights, id_of(DitHead::PatchEmbedding));
  linear_out(work.u.narrow(0, 0, real), patches, scope.view());
  work.u.narrow(0, real, work.shard.per_rank - real).zero_();
  work.x[0].copy_(work.u);
}

at::Tensor embed_text(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                      const at::Tensor& context) {
  const TraceScope span(runtime.trace, Lane::Compute, "embed text", runtime.device->compute());
  const at::TensorOptions options =
      at::TensorOptions(torch_device(*runtime.device)).dtype(scalar_type(runtime.compute));
  const at::Tensor padded = at::zeros({config.text_len, config.text_dim}, options);
  padded.narrow(0, 0, context.size(0)).copy_(context);
  const at::Tensor hidden = through(weights, DitHead::Text0, padded);
  kernels::gelu_tanh(hidden.data_ptr(), runtime.compute, hidden.numel(), runtime.device->compute());
  return through(weights, DitHead::Text2, hidden);
}

}  // namespace ferry::model
