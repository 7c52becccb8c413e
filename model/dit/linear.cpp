#include "model/dit/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

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

}  // namespace ferry::model
