#include "model/dit/linear.h"

#include <ATen/ops/_addmm_activation.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include "model/kernels/gelu.h"
#include "model/tensor.h"

namespace ferry::model {

void linear_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view) {
  const at::Tensor weight = view[0].flatten(1);
  at::Tensor result = out;
  at::addmm_out(result, view[1], x, weight.t());
  if (view.lora == nullptr) return;
  const at::Tensor low = at::linear(x, view.lora->down.to(x.scalar_type()));
  result.add_(at::linear(low, view.lora->up.to(x.scalar_type())), view.lora->scale);
}

at::Tensor linear(const at::Tensor& x, const ModuleView& view) {
  at::Tensor out = at::empty({x.size(0), view[0].size(0)}, x.options());
  linear_out(out, x, view);
  return out;
}

void linear_gelu_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view, Stream& stream) {
  if (out.is_cuda() && out.scalar_type() == at::kBFloat16 && view.lora == nullptr) {
    at::Tensor result = out;
    at::_addmm_activation_out(result, view[1], x, view[0].t(), 1, 1, /*use_gelu=*/true);
    return;
  }
  linear_out(out, x, view);
  kernels::gelu_tanh(out.data_ptr(), dtype_of(out), out.numel(), stream);
}

}  // namespace ferry::model
