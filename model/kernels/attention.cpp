#include "model/kernels/attention.h"

#include <ATen/Context.h>
#include <ATen/SDPBackend.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <array>
#include <stdexcept>

namespace ferry::model::kernels {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"auto", "cudnn", "flash", "math", "fa3"};

// While it lives, LibTorch has one kernel to choose from.
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
  const at::Tensor out =
      at::scaled_dot_product_attention(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2));
  return out.transpose(1, 2).reshape(q.sizes());
}

std::string Attention::used_for(const at::Tensor& q, std::int64_t head_dim) const {
  if (impl_ != AttentionImpl::Auto) return std::string(name_of(impl_));
  const at::Tensor heads = as_heads(q, head_dim).transpose(1, 2);
  return name_of_backend(at::_fused_sdp_choice(heads, heads, heads));
}

}  // namespace ferry::model::kernels
