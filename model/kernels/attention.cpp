#include "model/kernels/attention.h"

#include <ATen/Context.h>
#include <ATen/SDPBackend.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/where.h>

#include <array>
#include <stdexcept>
#include <tuple>

#include "model/kernels/cuda/launch.h"

namespace ferry::model::kernels {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"auto", "cudnn", "flash", "math", "fa3"};

// Restricts LibTorch to one kernel for its scope.
class OnlyKernel {
 public:
  explicit OnlyKernel(AttentionImpl impl) {
    if (impl != AttentionImpl::Auto) {
      set({impl == AttentionImpl::CuDnn, impl == AttentionImpl::Flash, impl == AttentionImpl::Math, false});
    }
  }
  OnlyKernel(const OnlyKernel&) = delete;
  OnlyKernel& operator=(const OnlyKernel&) = delete;
  ~OnlyKernel() { set(before_); }

 private:
  struct Allowed {
    bool cudnn, flash, math, efficient;
  };
  static Allowed allowed() {
    const at::Context& context = at::globalContext();
    return {context.userEnabledCuDNNSDP(), context.userEnabledFlashSDP(), context.userEnabledMathSDP(),
            context.userEnabledMemEfficientSDP()};
  }
  static void set(const Allowed& allowed) {
    at::Context& context = at::globalContext();
    context.setSDPUseCuDNN(allowed.cudnn);
    context.setSDPUseFlash(allowed.flash);
    context.setSDPUseMath(allowed.math);
    context.setSDPUseMemEfficient(allowed.efficient);
  }
  Allowed before_ = allowed();
};

at::Tensor as_heads(const at::Tensor& x, std::int64_t head_dim) {
  return x.view({1, x.size(0), -1, head_dim});
}

bool is_cpu_flash(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return q.is_cpu() &&
         at::_fused_sdp_choice(q, k, v) == static_cast<std::int64_t>(at::SDPBackend::flash_attention);
}

// LibTorch's CPU kernel loses non-finite values: a row whose logits are all NaN, with fewer keys than a
// vector has elements, is taken for one that sees no key, and its result is 0; a row with an infinite logit
// becomes finite if the keys fill their vectors.  Its second result, the logarithm of each row's sum,
// identifies both: exactly 0 in the first case (any key's logit then tells, so the first is used), infinite
// in the second.
at::Tensor cpu_flash(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  auto [out, log_sums] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v);
  const at::Tensor first_logits = at::matmul(q, k.narrow(2, 0, 1).transpose(2, 3)).squeeze(3);
  const at::Tensor judged = at::where(log_sums == 0, first_logits.to(log_sums.scalar_type()), log_sums);
  if (at::isfinite(judged).all().item<bool>()) return out;
  return out.add_((judged * 0).unsqueeze(3));  // 0 x is NaN if x is not finite
}

std::string name_of_backend(std::int64_t backend) {
  switch (static_cast<at::SDPBackend>(backend)) {
    case at::SDPBackend::flash_attention:
      return "flash";
    case at::SDPBackend::efficient_attention:
      return "efficient";
    case at::SDPBackend::cudnn_attention:
      return "cudnn";
    default:
      return "math";
  }
}

}  // namespace

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (is_cpu_flash(q, k, v)) return cpu_flash(q, k, v);
  return at::scaled_dot_product_attention(q, k, v);
}

std::string_view name_of(AttentionImpl impl) { return kNames.at(static_cast<std::size_t>(impl)); }

Attention::Attention(AttentionImpl impl) : impl_(impl) {
  if (impl == AttentionImpl::Fa3) throw std::invalid_argument("fa3 is no kernel of LibTorch");
}

at::Tensor Attention::operator()(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 std::int64_t head_dim) const {
  const at::Tensor queries = as_heads(q, head_dim);
  const at::Tensor keys = as_heads(k, head_dim);
  const at::Tensor values = as_heads(v, head_dim);
  if (kernel_) {
    const at::Tensor out = at::empty_like(queries);
    kernel_(out, queries, keys, values);
    return out.view(q.sizes());
  }
  const OnlyKernel only(impl_);
  const at::Tensor out = attend(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2));
  return out.transpose(1, 2).reshape(q.sizes());
}

void Attention::into(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t head_dim) const {
  if (kernel_) {
    kernel_(as_heads(out, head_dim), as_heads(q, head_dim), as_heads(k, head_dim), as_heads(v, head_dim));
  } else {
    out.copy_((*this)(q, k, v, head_dim));
  }
}

std::string Attention::used_for(const at::Tensor& q, std::int64_t head_dim) const {
  if (impl_ != AttentionImpl::Auto) return std::string(name_of(impl_));
  const at::Tensor heads = as_heads(q, head_dim).transpose(1, 2);
  return name_of_backend(at::_fused_sdp_choice(heads, heads, heads));
}

std::int64_t tiles_at_once(const Device& device) {
  return device.type() == DeviceType::Cuda ? cuda::multiprocessors() : 0;
}

}  // namespace ferry::model::kernels
