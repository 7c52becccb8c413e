#include "model/dit/head.h"

#include <ATen/TensorOperators.h>

#include <array>

#include "model/dit/linear.h"
#include "model/kernels/layer_norm.h"
#include "model/kernels/patch.h"
#include "model/tensor.h"

namespace ferry::model {

namespace {

// Works in place: each row is read before it is written.
void modulate(const Pass& pass, const at::Tensor& x, const at::Tensor& rows) {
  kernels::layer_norm_modulate({.x = x.data_ptr<float>(),
                                .scale = rows[1].data_ptr<float>(),
                                .shift = rows[0].data_ptr<float>(),
                                .out = x.data_ptr(),
                                .rows = x.size(0),
                                .dim = x.size(1),
                                .eps = static_cast<float>(pass.config.eps)},
                               pass.stream());
}

at::Tensor gathered(const Pass& pass, const at::Tensor& shard) {
  if (pass.exchange == nullptr) return shard;
  const at::Tensor all =
      empty(std::array{shard.size(0) * pass.ranks(), shard.size(1)}, DType::F32, *pass.runtime.device);
  pass.exchange->gather(all.mutable_data_ptr(), shard.const_data_ptr(), shard.nbytes());
  return all;
}

at::Tensor unpatchify(const Pass& pass, const at::Tensor& tokens) {
  const kernels::Grid& grid = pass.work.grid;
  const std::int64_t channels = pass.config.out_channels;
  const at::Tensor latent = empty(std::array{channels, grid.frames, grid.rows * 2, grid.cols * 2}, DType::F32,
                                  *pass.runtime.device);
  kernels::unpatchify({.tokens = tokens.data_ptr<float>(),
                       .latent = latent.data_ptr<float>(),
                       .grid = grid,
                       .channels = channels},
                      pass.stream());
  return latent;
}

}  // namespace

std::vector<at::Tensor> run_head(const Pass& pass) {
  const TraceScope span = pass.span("head");
  at::Tensor rows;
  {
    const ModuleScope scope(pass.weights, id_of(DitTail::Modulation));
    rows = scope[0].view({2, -1}) + pass.e;
  }
  const ModuleScope projection(pass.weights, id_of(DitTail::Head));
  std::vector<at::Tensor> latents;
  for (const at::Tensor& x : pass.work.x) {
    modulate(pass, x, rows);
    const at::Tensor tokens = linear(x, projection.view());
    pass.tap("head", ModuleId::kTail, tokens);
    latents.push_back(unpatchify(pass, gathered(pass, tokens)));
  }
  return latents;
}

}  // namespace ferry::model
