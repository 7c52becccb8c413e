#include "worker/stages/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/log.h"
#include "model/kernels/fa3.h"
#include "model/tensor.h"
#include "model/torch_stream.h"
#include "parallel/peers.h"

namespace ferry::worker {
namespace {

using model::kernels::Attention;
using model::kernels::AttentionImpl;

constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kQueries = 700;  // not a multiple of any tile
constexpr std::int64_t kKeys = 1111;
constexpr double kMostApart = 1e-2;

AttentionImpl impl_named(const std::string& name) {
  for (const AttentionImpl impl : {AttentionImpl::Auto, AttentionImpl::CuDnn, AttentionImpl::Flash,
                                   AttentionImpl::Math, AttentionImpl::Fa3}) {
    if (name == model::kernels::name_of(impl)) return impl;
  }
  throw UserError(fmt::format("attention.impl {}: accepted: auto, cudnn, flash, math, fa3", name));
}

class Trial {
 public:
  Trial(DType compute, std::int64_t head_dim, Device& device) : stream_(device), head_dim_(head_dim) {
    const auto options = at::TensorOptions(model::torch_device(device)).dtype(model::scalar_type(compute));
    q_ = at::randn({kQueries, kHeads * head_dim}, options);
    k_ = at::randn({kKeys, kHeads * head_dim}, options);
    v_ = at::randn({kKeys, kHeads * head_dim}, options);
  }
  at::Tensor result_of(const Attention& attention) const {
    return attention(q_, k_, v_, head_dim_).to(at::kFloat);
  }

 private:
  model::TorchStream stream_;
  std::int64_t head_dim_;
  at::Tensor q_, k_, v_;
};

// Runs `work`; returns the UserError of the first rank that throws one, as "rank 1: ...", or an empty string;
// the same on every rank.
std::string refusal_of(parallel::Session& session, const std::function<void()>& work) {
  std::string mine;
  try {
    work();
  } catch (const UserError& error) {
    mine = error.what();
  } catch (const c10::Error& error) {
    mine = error.what_without_backtrace();
  }
  return first_error(world_peers(session), mine);
}

Attention asked_for(AttentionImpl impl, const Trial& trial, parallel::Session& session) {
  const Attention attention(impl);
  const std::string refusal = refusal_of(session, [&] { trial.result_of(attention); });
  if (refusal.empty()) return attention;
  throw UserError(
      fmt::format("attention.impl {}: LibTorch does not have it for this device, type and head size "
                  "({}); accepted: auto",
                  model::kernels::name_of(impl), refusal.substr(0, refusal.find('\n'))));
}

std::string where_fa3_is(const AttentionOptions& options) {
  return options.fa3.empty() ? model::kernels::find_fa3() : options.fa3;
}

// The result of cuDNN's kernel, or of LibTorch's choice if that does not support the device, the type or the
// head size.
at::Tensor reference_of(const Trial& trial) {
  try {
    return trial.result_of(Attention(AttentionImpl::CuDnn));
  } catch (const c10::Error&) {
    return trial.result_of(Attention());
  }
}

// Throws UserError if the library's result differs from that of LibTorch's kernel.
Attention compared_fa3(const std::string& file, const Trial& trial, const Device& device) {
  Attention fa3 = model::kernels::load_fa3(file, device);
  const at::Tensor wanted = reference_of(trial);
  const double apart = ((trial.result_of(fa3) - wanted).norm() / wanted.norm()).item<double>();
  // Also rejects NaN.
  if (apart <= kMostApart) return fa3;
  throw UserError(fmt::format(
      "attention.fa3 {}: its result differs from LibTorch's by {:.2g} (relative L2; at most {:g})", file,
      apart, kMostApart));
}

}  // namespace

Attention choose_attention(const AttentionOptions& options, DType compute, std::int64_t head_dim,
                           Device& device, parallel::Session& session) {
  const AttentionImpl impl = impl_named(options.impl);
  if (!options.fa3.empty() && impl != AttentionImpl::Fa3 && impl != AttentionImpl::Auto) {
    throw UserError(
        fmt::format("attention.fa3 names a library that attention.impl {} does not use; accepted: fa3, auto",
                    options.impl));
  }
  const bool fa3_asked = impl == AttentionImpl::Fa3 || (impl == AttentionImpl::Auto && !options.fa3.empty());
  if (fa3_asked && compute != DType::BF16) {
    throw UserError("attention.impl fa3: it computes in bf16 only, and dtype is " +
                    std::string(name_of(compute)));
  }
  const Trial trial(compute, head_dim, device);
  if (impl != AttentionImpl::Auto && !fa3_asked) return asked_for(impl, trial, session);
  const std::string file = where_fa3_is(options);
  const bool there = model::kernels::takes_fa3(device) && compute == DType::BF16 && !file.empty();
  if (!fa3_asked && !session.all_agree(there)) return Attention();
  Attention fa3;
  const std::string refusal = refusal_of(session, [&] { fa3 = compared_fa3(file, trial, device); });
  if (refusal.empty()) return fa3;
  if (fa3_asked) throw UserError(refusal);
  if (session.rank() == 0) spdlog::warn("{}; LibTorch's attention is used", refusal);
  return Attention();
}

std::string name_of(const Attention& attention, DType compute, std::int64_t head_dim, const Device& device) {
  const auto options = at::TensorOptions(model::torch_device(device)).dtype(model::scalar_type(compute));
  return attention.used_for(at::empty({kQueries, kHeads * head_dim}, options), head_dim);
}

}  // namespace ferry::worker
